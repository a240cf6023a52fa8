"""A text that somebody wrote."""

from __future__ import annotations

import uuid

from django.db import models

from tenant_data.models.file import File


class Document(models.Model):
    """A title and a body, and perhaps a file, which cannot be deleted while a document needs it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    file = models.ForeignKey(File, null=True, blank=True, on_delete=models.PROTECT, related_name="documents")
    owner_id = models.UUIDField(null=True, blank=True, help_text="Id of the user who wrote it, in main.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("-created_at",), name="document_newest_first"),)

    def __str__(self) -> str:
        return self.title
