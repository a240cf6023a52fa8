"""What a document was before it was changed."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenant_data.models.document import Document
from tenant_data.models.file import File


class DocumentVersion(models.Model):
    """One earlier state of a document. The present one is in the document alone, and its number is the highest."""

    # Its index is the constraint's: document and number.
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.IntegerField()
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    tags = ArrayField(models.TextField(), default=list, blank=True)
    # Only the document as it is keeps a file from being deleted.
    file = models.ForeignKey(File, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    editor_id = models.UUIDField(null=True, blank=True, help_text="Id of the user who wrote it, in main.")
    written_at = models.DateTimeField(help_text="When the document came to be so.")

    class Meta:
        ordering = ("-number",)
        constraints = (models.UniqueConstraint(fields=("document", "number"), name="version_once_a_document"),)

    def __str__(self) -> str:
        return f"{self.title}, version {self.number}"
