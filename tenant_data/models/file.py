"""A file that somebody uploaded."""

from __future__ import annotations

import uuid

from django.db import models


class File(models.Model):
    """A name for a content. Several files may share one content, which is stored once (see ``tenant_data.storage``)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255, help_text="For display and download; never part of a path.")
    sha256 = models.CharField(max_length=64, help_text="SHA-256 of the content, in lower-case hex.")
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    content_type = models.CharField(max_length=255, help_text="By the content; of texts, as the uploader said.")
    owner_id = models.UUIDField(null=True, blank=True, help_text="Id of the user who uploaded it, in main.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("-created_at",), name="file_newest_first"),
            models.Index(fields=("sha256",), name="file_by_content"),
        )

    def __str__(self) -> str:
        return self.name
