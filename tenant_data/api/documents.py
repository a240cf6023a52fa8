"""Documents over HTTP."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, connections
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.generics import ListCreateAPIView, RetrieveUpdateDestroyAPIView
from rest_framework.serializers import BaseSerializer

from tenant_data.api.serializers import DocumentSerializer
from tenant_data.models import Document
from tenants.api.conditional import Conditional
from tenants.api.idempotency import Idempotent
from tenants.context import required_alias, tenant_atomic
from tenants.permissions import IsTenantMember


@extend_schema_view(
    get=extend_schema(tags=["documents"], summary="List documents"),
    post=extend_schema(
        tags=["documents"],
        summary="Write a document",
        examples=[OpenApiExample("A note", value={"title": "Minutes", "body": "We met.", "file": None})],
    ),
)
class DocumentsView(Idempotent, ListCreateAPIView[Document]):
    """A tenant's documents, the newest first."""

    serializer_class = DocumentSerializer
    permission_classes = (IsTenantMember,)

    def get_queryset(self) -> QuerySet[Document]:
        return Document.objects.all()

    def perform_create(self, serializer: BaseSerializer[Document]) -> None:
        save_document(serializer, owner_id=self.request.user.pk)


@extend_schema_view(
    get=extend_schema(tags=["documents"], summary="Show a document"),
    put=extend_schema(tags=["documents"], summary="Replace a document"),
    patch=extend_schema(tags=["documents"], summary="Change a document"),
    delete=extend_schema(tags=["documents"], summary="Delete a document", description="Its file stays."),
)
class DocumentView(Conditional, RetrieveUpdateDestroyAPIView[Document]):
    """One document."""

    serializer_class = DocumentSerializer
    permission_classes = (IsTenantMember,)
    lookup_url_kwarg = "id"

    def get_queryset(self) -> QuerySet[Document]:
        return Document.objects.all()

    def perform_update(self, serializer: BaseSerializer[Document]) -> None:
        save_document(serializer)


def save_document(serializer: BaseSerializer[Document], **fields: Any) -> None:
    """Save; 404 where the file was deleted after it had been looked up, which the key tells."""
    try:
        with tenant_atomic():
            serializer.save(**fields)
            # Now, as this may stand inside another transaction, whose commit is too late to be told apart.
            connections[required_alias()].check_constraints()
    except IntegrityError as error:
        raise NotFound("There is no such file.") from error
