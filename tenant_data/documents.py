"""Changing documents so that nothing is lost: what one was is kept, and what is deleted is in the trash first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from tenant_data.models import Document, DocumentVersion, File
from tenants.context import required_alias, tenant_atomic

BATCH = 1000


def change(document: Document, editor_id: UUID | None, **changes: Any) -> None:
    """Change a document and keep what it was as a version. Nothing is written where nothing differs.

    The caller holds its row (``select_for_update``), or two changes at a time would both keep the same version.
    """
    differing = {name: value for name, value in changes.items() if _differs(document, name, value)}
    if not differing:
        return
    present(document).save(force_insert=True)
    for name, value in differing.items():
        setattr(document, name, value)
    document.version += 1
    document.editor_id = editor_id
    document.save(update_fields=(*differing, "version", "editor_id", "updated_at"))


def present(document: Document) -> DocumentVersion:
    """What a document is now as a version, not saved."""
    return DocumentVersion(
        document=document,
        number=document.version,
        title=document.title,
        body=document.body,
        tags=document.tags,
        file_id=document.file_id,
        editor_id=document.editor_id,
        written_at=document.updated_at,
    )


def version(document: Document, number: int) -> DocumentVersion:
    """A version by its number, the present one too; raises ``DocumentVersion.DoesNotExist``."""
    return present(document) if number == document.version else document.versions.get(number=number)


def restore_version(document: Document, number: int, editor_id: UUID | None) -> None:
    """Make a document again what it was, as a new version. The caller holds its row, as for ``change``.

    A file that has been deleted since does not come back. Raises ``DocumentVersion.DoesNotExist``.
    """
    earlier = version(document, number)
    change(document, editor_id, title=earlier.title, body=earlier.body, tags=earlier.tags, file=earlier.file)


def put_in_trash(ids: Iterable[UUID]) -> int:
    """How many were put there; those that are there already are passed over."""
    return Document.objects.kept().filter(pk__in=ids).update(deleted_at=timezone.now())


def take_out_of_trash(ids: Iterable[UUID]) -> int:
    """How many were taken out."""
    return Document.objects.trashed().filter(pk__in=ids).update(deleted_at=None)


def delete_for_good(ids: Iterable[UUID]) -> int:
    """Delete documents that are in the trash, with their versions; how many there were. Files stay.

    Not by Django's ``delete()``, which would read every version first, bodies and all.
    """
    with tenant_atomic():
        # Held, so that none is taken out of the trash, or changed, between the two deletions.
        held = list(Document.objects.trashed().filter(pk__in=ids).select_for_update().values_list("pk", flat=True))
        DocumentVersion.objects.filter(document__in=held)._raw_delete(required_alias())
        return Document.objects.filter(pk__in=held)._raw_delete(required_alias())


def empty_trash(before: datetime) -> int:
    """Delete for good what was put in the trash before then, in transactions of 1,000; how many documents it was."""
    deleted = 0
    old = Document.objects.trashed().filter(deleted_at__lt=before).order_by("deleted_at", "pk")
    while ids := list(old.values_list("pk", flat=True)[:BATCH]):
        deleted += delete_for_good(ids)
    return deleted


def _differs(document: Document, name: str, value: Any) -> bool:
    if name == "file":
        return document.file_id != (value.pk if isinstance(value, File) else None)
    return bool(getattr(document, name) != value)
