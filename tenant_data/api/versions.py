"""What a document was, over HTTP."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from tenant_data.api.document_examples import COMPARISON, DOCUMENT, VERSION, replied
from tenant_data.api.document_serializers import (
    ComparisonSerializer,
    DocumentSerializer,
    ListedVersionSerializer,
    VersionSerializer,
)
from tenant_data.api.documents import files_that_exist
from tenant_data.api.keyset import Keyset
from tenant_data.comparison import compare
from tenant_data.documents import restore_version, version
from tenant_data.errors import TooLongToCompareError
from tenant_data.models import Document, DocumentVersion
from tenants.api.idempotency import Idempotent
from tenants.context import tenant_atomic
from tenants.permissions import IsTenantMember


class TooLongToCompare(APIException):
    """A version has too many lines to be compared with another."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "too_long_to_compare"


class LatestVersionFirst(Keyset):
    ordering = ("-number",)


@extend_schema_view(
    get=extend_schema(
        tags=["documents"],
        summary="List a document's earlier versions",
        description="The latest first, without their bodies. The document itself is the present version.",
        examples=[replied("The first", VERSION)],
    )
)
class VersionsView(ListAPIView[DocumentVersion]):
    """A document's earlier versions."""

    serializer_class = ListedVersionSerializer
    permission_classes = (IsTenantMember,)
    filter_backends = ()
    pagination_class = LatestVersionFirst

    def get_queryset(self) -> QuerySet[DocumentVersion]:
        if getattr(self, "swagger_fake_view", False):
            return DocumentVersion.objects.none()
        document = get_object_or_404(Document.objects.kept().only("pk"), pk=self.kwargs["id"])
        return document.versions.defer("body")


class VersionView(GenericAPIView[DocumentVersion]):
    """One version."""

    serializer_class = VersionSerializer
    permission_classes = (IsTenantMember,)

    @extend_schema(
        tags=["documents"],
        summary="Show a version of a document",
        description="The present one too.",
        examples=[replied("The first", {**VERSION, "body": DOCUMENT["body"]})],
    )
    def get(self, request: Request, slug: str, id: UUID, number: int) -> Response:
        document = get_object_or_404(Document.objects.kept(), pk=id)
        return Response(self.get_serializer(version_or_404(document, number)).data)


class VersionComparisonView(GenericAPIView[DocumentVersion]):
    """One version beside another."""

    serializer_class = ComparisonSerializer
    permission_classes = (IsTenantMember,)

    @extend_schema(
        tags=["documents"],
        summary="Compare two versions of a document",
        description="422 with the code `too_long_to_compare` where a body has too many lines.",
        parameters=[
            OpenApiParameter("with", OpenApiTypes.INT, description="The number of the other; else the present version.")
        ],
        examples=[replied("The first and the present", COMPARISON)],
    )
    def get(self, request: Request, slug: str, id: UUID, number: int) -> Response:
        document = get_object_or_404(Document.objects.kept(), pk=id)
        other = self._other(document)
        try:
            found = compare(version_or_404(document, number), version_or_404(document, other))
        except TooLongToCompareError as error:
            raise TooLongToCompare(str(error)) from error
        return Response(self.get_serializer(found).data)

    def _other(self, document: Document) -> int:
        said = self.request.query_params.get("with")
        try:
            return document.version if said is None else int(said)
        except ValueError as error:
            raise ValidationError({"with": ["Say the number of a version."]}) from error


class VersionRestoreView(Idempotent, GenericAPIView[Document]):
    """A version to go back to."""

    serializer_class = DocumentSerializer
    permission_classes = (IsTenantMember,)

    @extend_schema(
        tags=["documents"],
        summary="Restore a version of a document",
        description="As a new version; what the document is now is kept. A file that was deleted since does "
        "not come back.",
        request=None,
        examples=[replied("As it was at first", {**DOCUMENT, "version": 3})],
    )
    def post(self, request: Request, slug: str, id: UUID, number: int) -> Response:
        with files_that_exist(), tenant_atomic():
            document = get_object_or_404(Document.objects.kept().select_for_update(), pk=id)
            try:
                restore_version(document, number, request.user.pk)
            except DocumentVersion.DoesNotExist as error:
                raise no_such_version(number) from error
        return Response(self.get_serializer(document).data)


def version_or_404(document: Document, number: int) -> DocumentVersion:
    try:
        return version(document, number)
    except DocumentVersion.DoesNotExist as error:
        raise no_such_version(number) from error


def no_such_version(number: int) -> NotFound:
    return NotFound(f"The document has no version {number}.")
