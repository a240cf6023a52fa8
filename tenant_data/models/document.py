"""A text that somebody wrote."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

from tenant_data.models.file import File


class DocumentQuerySet(models.QuerySet["Document"]):
    def kept(self) -> DocumentQuerySet:
        """Those that are not in the trash."""
        return self.filter(deleted_at__isnull=True)

    def trashed(self) -> DocumentQuerySet:
        return self.filter(deleted_at__isnull=False)


class DocumentManager(models.Manager["Document"]):
    """All documents, those in the trash too. Their words stay in the database: they are as long as the body."""

    def get_queryset(self) -> DocumentQuerySet:
        return DocumentQuerySet(self.model, using=self._db).defer("search")

    def kept(self) -> DocumentQuerySet:
        return self.get_queryset().kept()

    def trashed(self) -> DocumentQuerySet:
        return self.get_queryset().trashed()


class Document(models.Model):
    """A title and a body, and perhaps a file, which cannot be deleted while a document outside the trash needs it.

    What it was before each change is kept as a ``DocumentVersion``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    tags = ArrayField(
        models.TextField(),
        default=list,
        db_default=[],
        blank=True,
        help_text="As tenant_data.tags makes them: in order, each once.",
    )
    file = models.ForeignKey(File, null=True, blank=True, on_delete=models.PROTECT, related_name="documents")
    owner_id = models.UUIDField(null=True, blank=True, help_text="Id of the user who wrote it, in main.")
    version = models.IntegerField(default=1, db_default=1, help_text="1 at first, one more with each change.")
    editor_id = models.UUIDField(null=True, blank=True, help_text="Id of the user who wrote this version, in main.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="When it was put in the trash.")
    search = SearchVectorField(null=True, editable=False, help_text="Its words; a trigger in the database keeps them.")

    objects = DocumentManager()

    class Meta:
        ordering = ("-created_at",)
        # One for each ordering of the list, with the id, which tells rows of the same moment or title apart; read
        # backwards for the other direction. The trash has its own, and is in none of the others.
        indexes = (
            models.Index(fields=("created_at", "id"), name="document_by_creation", condition=Q(deleted_at=None)),
            models.Index(fields=("updated_at", "id"), name="document_by_change", condition=Q(deleted_at=None)),
            models.Index(fields=("title", "id"), name="document_by_title", condition=Q(deleted_at=None)),
            models.Index(
                fields=("owner_id", "created_at", "id"), name="document_by_owner", condition=Q(deleted_at=None)
            ),
            models.Index(
                OpClass(Upper("title"), name="text_pattern_ops"),
                name="document_by_title_start",
                condition=Q(deleted_at=None),
            ),
            GinIndex(fields=("tags",), name="document_by_tag", condition=Q(deleted_at=None)),
            GinIndex(fields=("search",), name="document_by_word", condition=Q(deleted_at=None)),
            models.Index(fields=("deleted_at", "id"), name="document_in_trash", condition=Q(deleted_at__isnull=False)),
        )

    def __str__(self) -> str:
        return self.title
