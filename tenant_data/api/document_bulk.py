"""Many documents at once, over HTTP: all of them or, where one will not do, none."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from tenant_data.api.document_examples import DOCUMENT, WRITTEN, replied, sent
from tenant_data.api.document_serializers import (
    BULK_MAX_LENGTH,
    DeletedSerializer,
    DocumentIdsSerializer,
    NewDocumentsSerializer,
    WrittenDocumentsSerializer,
)
from tenant_data.api.documents import files_that_exist
from tenant_data.documents import put_in_trash
from tenant_data.models import Document
from tenants.api.idempotency import Idempotent
from tenants.context import tenant_atomic
from tenants.permissions import IsTenantMember

NAMED = 10


class BulkWriteView(Idempotent, GenericAPIView[Document]):
    """Documents to be written."""

    serializer_class = NewDocumentsSerializer
    permission_classes = (IsTenantMember,)

    @extend_schema(
        tags=["documents"],
        summary="Write many documents",
        description=f"Up to {BULK_MAX_LENGTH}, in one transaction. Where one of them will not do, none is written, and "
        "the errors stand at their places.",
        responses={201: WrittenDocumentsSerializer},
        examples=[sent("One note", {"documents": [WRITTEN]}), replied("The note", {"results": [DOCUMENT]}, 201)],
    )
    def post(self, request: Request, slug: str) -> Response:
        sent_in = self.get_serializer(data=request.data)
        sent_in.is_valid(raise_exception=True)
        user_id = request.user.pk
        new = [
            Document(**fields, owner_id=user_id, editor_id=user_id) for fields in sent_in.validated_data["documents"]
        ]
        with files_that_exist(), tenant_atomic():
            Document.objects.bulk_create(new)
        return Response(WrittenDocumentsSerializer({"results": new}).data, status=status.HTTP_201_CREATED)


class BulkDeleteView(Idempotent, GenericAPIView[Document]):
    """Documents to be put in the trash."""

    serializer_class = DocumentIdsSerializer
    permission_classes = (IsTenantMember,)

    @extend_schema(
        tags=["documents"],
        summary="Delete many documents",
        description=f"Puts up to {BULK_MAX_LENGTH} in the trash, in one transaction. Where one of them is not there, "
        "none is deleted, and the error names those that are not.",
        responses={200: DeletedSerializer},
        examples=[sent("One note", {"ids": [DOCUMENT["id"]]}), replied("Deleted", {"deleted": 1})],
    )
    def post(self, request: Request, slug: str) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = set(asked.validated_data["ids"])
        with tenant_atomic():
            # Held, so that what is found is what is deleted.
            there = Document.objects.kept().filter(pk__in=wanted).select_for_update().values_list("pk", flat=True)
            missing = sorted(map(str, wanted - set(there)))
            if missing:
                more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
                raise NotFound(f"There are no such documents: {', '.join(missing[:NAMED])}{more}.")
            return Response({"deleted": put_in_trash(wanted)})
