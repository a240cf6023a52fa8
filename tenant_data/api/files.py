"""Files over HTTP."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveDestroyAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from tenant_data.api.downloads import AnyAccept, attachment
from tenant_data.api.serializers import FileSerializer, UploadSerializer
from tenant_data.errors import ContentMissingError, FileInUseError
from tenant_data.files import delete_file
from tenant_data.models import File
from tenants.api.conditional import Conditional
from tenants.api.idempotency import Idempotent
from tenants.permissions import IsTenantMember

logger = logging.getLogger(__name__)


class Conflict(APIException):
    """It cannot be done as things stand; `detail` says what is in the way."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


@extend_schema_view(get=extend_schema(tags=["files"], summary="List files"))
class FilesView(Idempotent, ListAPIView[File]):
    """A tenant's files, the newest first."""

    serializer_class = FileSerializer
    permission_classes = (IsTenantMember,)
    parser_classes = (MultiPartParser,)

    def get_queryset(self) -> QuerySet[File]:
        return File.objects.all()

    @extend_schema(
        tags=["files"],
        summary="Upload a file",
        description="Multipart, in the field `file`. The same content is stored once, whatever its names.",
        request={"multipart/form-data": UploadSerializer},
        responses={201: FileSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        upload = UploadSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        file = upload.save(owner_id=request.user.pk)
        return Response(FileSerializer(file).data, status=status.HTTP_201_CREATED)


@extend_schema_view(
    get=extend_schema(tags=["files"], summary="Show a file"),
    delete=extend_schema(
        tags=["files"], summary="Delete a file", description="Refused with 409 while a document needs it."
    ),
)
class FileView(Conditional, RetrieveDestroyAPIView[File]):
    """One file."""

    serializer_class = FileSerializer
    permission_classes = (IsTenantMember,)
    lookup_url_kwarg = "id"

    def get_queryset(self) -> QuerySet[File]:
        return File.objects.all()

    def perform_destroy(self, instance: File) -> None:
        try:
            delete_file(instance)
        except FileInUseError as error:
            raise Conflict(str(error)) from error


class FileContentView(GenericAPIView[File]):
    """What is in a file."""

    serializer_class = FileSerializer
    permission_classes = (IsTenantMember,)
    content_negotiation_class = AnyAccept
    lookup_url_kwarg = "id"

    def get_queryset(self) -> QuerySet[File]:
        return File.objects.all()

    @extend_schema(
        tags=["files"],
        summary="Download a file",
        description="Always as an attachment: what people upload is never shown as a page of this site.",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, slug: str, id: UUID) -> FileResponse:
        try:
            return attachment(self.get_object())
        except ContentMissingError as error:
            logger.exception("a file without content: %s", id)
            raise NotFound(str(error)) from error
