"""Documents over HTTP: written, listed, found, changed, deleted and taken out of the trash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.http import Http404
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView, ListCreateAPIView, RetrieveUpdateDestroyAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from tenant_data.api.document_examples import DOCUMENT, FOUND, WRITTEN, replied, sent
from tenant_data.api.document_filters import TAG, TRASHED, DocumentFilters, asked_for_trash
from tenant_data.api.document_serializers import NO_SUCH_FILE, DocumentSerializer, ListedDocumentSerializer
from tenant_data.api.keyset import IdLast, Keyset
from tenant_data.documents import delete_for_good, put_in_trash, take_out_of_trash
from tenant_data.models import Document
from tenant_data.models.document import DocumentQuerySet
from tenants.api.conditional import Conditional
from tenants.api.idempotency import Idempotent
from tenants.context import tenant_atomic
from tenants.permissions import IsTenantMember


class DocumentOrdering(IdLast):
    ordering_description = (
        "`created_at`, `updated_at` or `title`; with `-` before it, backwards. Anything else: the newest first, with "
        "`q` the best first, in the trash the last deleted first."
    )


@extend_schema_view(
    get=extend_schema(
        tags=["documents"],
        summary="List documents",
        description="Filters may be joined, and narrow each other. What is in the trash is not shown, but by itself.",
        parameters=[TAG, TRASHED],
        examples=[replied("Found by `?q=budget`", FOUND)],
    ),
    post=extend_schema(
        tags=["documents"],
        summary="Write a document",
        description="With a file or without one. A file is uploaded first, and named here by its id.",
        request=DocumentSerializer,
        responses={201: DocumentSerializer},
        examples=[sent("A note", WRITTEN), replied("The note", DOCUMENT, 201)],
    ),
)
class DocumentsView(Idempotent, ListCreateAPIView[Document]):
    """A tenant's documents, the newest first."""

    permission_classes = (IsTenantMember,)
    filter_backends = (DjangoFilterBackend, DocumentOrdering)
    filterset_class = DocumentFilters
    pagination_class = Keyset
    ordering_fields = ("created_at", "updated_at", "title")

    @property
    def ordering(self) -> str:
        if self.request.query_params.get("q", "").strip():
            return "-rank"
        return "-deleted_at" if asked_for_trash(self.request) else "-created_at"

    def get_serializer_class(self) -> type[DocumentSerializer]:
        return ListedDocumentSerializer if self.request.method in SAFE_METHODS else DocumentSerializer

    def get_queryset(self) -> DocumentQuerySet:
        return Document.objects.trashed() if asked_for_trash(self.request) else Document.objects.kept()

    def perform_create(self, serializer: BaseSerializer[Document]) -> None:
        user_id = self.request.user.pk
        with files_that_exist(), tenant_atomic():
            serializer.save(owner_id=user_id, editor_id=user_id)


@extend_schema_view(
    get=extend_schema(
        tags=["documents"],
        summary="Show a document",
        description="One in the trash is shown with `?trashed=true` only.",
        parameters=[TRASHED],
        examples=[replied("The note", DOCUMENT)],
    ),
    put=extend_schema(
        tags=["documents"],
        summary="Replace a document",
        description="What it was is kept as a version. Where nothing differs nothing is written.",
        examples=[sent("A note", WRITTEN), replied("The note", DOCUMENT)],
    ),
    patch=extend_schema(
        tags=["documents"],
        summary="Change a document",
        description="What it was is kept as a version. Where nothing differs nothing is written.",
        examples=[sent("Other tags", {"tags": ["board"]}), replied("The note", {**DOCUMENT, "version": 2})],
    ),
    delete=extend_schema(
        tags=["documents"],
        summary="Delete a document",
        description="Puts it in the trash. From there, with `?trashed=true`, deletes it for good, with all its "
        "versions. Its file stays.",
        parameters=[TRASHED],
    ),
)
class DocumentView(Conditional, RetrieveUpdateDestroyAPIView[Document]):
    """One document."""

    serializer_class = DocumentSerializer
    permission_classes = (IsTenantMember,)
    filter_backends = ()
    lookup_url_kwarg = "id"

    def get_queryset(self) -> DocumentQuerySet:
        may_be_trash = self.request.method not in {"PUT", "PATCH"} and asked_for_trash(self.request)
        return Document.objects.trashed() if may_be_trash else Document.objects.kept()

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with files_that_exist():
            return super().update(request, *args, **kwargs)

    def perform_update(self, serializer: BaseSerializer[Document]) -> None:
        serializer.save(editor_id=self.request.user.pk)

    def perform_destroy(self, instance: Document) -> None:
        if instance.deleted_at is None:
            put_in_trash([instance.pk])
        else:
            delete_for_good([instance.pk])


class RestoreView(Idempotent, GenericAPIView[Document]):
    """A document in the trash."""

    serializer_class = DocumentSerializer
    permission_classes = (IsTenantMember,)

    @extend_schema(
        tags=["documents"],
        summary="Take a document out of the trash",
        description="With all its versions, as it was. 404 where it is not in the trash.",
        request=None,
        examples=[replied("The note", DOCUMENT)],
    )
    def post(self, request: Request, slug: str, id: UUID) -> Response:
        if not take_out_of_trash([id]):
            raise Http404
        return Response(self.get_serializer(Document.objects.get(pk=id)).data)


@contextmanager
def files_that_exist() -> Iterator[None]:
    """404 where a file was deleted after it had been looked up, which its key tells at the commit."""
    try:
        yield
    except IntegrityError as error:
        raise NotFound(NO_SUCH_FILE) from error
