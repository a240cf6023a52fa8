"""Keeping and deleting files: the row in the tenant's database and the content in the storage, together.

A row never stands without its content. The other way round, a process killed between the two can leave a content
without a row, which does no harm, is used by the next upload of the same, and is collected by ``tenants gc-files``.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO
from uuid import UUID

from django.db import DatabaseError, IntegrityError, connections
from django.db.models import ProtectedError

from tenant_data.content_types import content_type_of
from tenant_data.errors import FileInUseError
from tenant_data.limits import current_limits, hold_quota, said_limits
from tenant_data.models import Document, File
from tenant_data.names import display_name
from tenant_data.storage.contents import contents
from tenant_data.storage.incoming import Incoming, Received
from tenants.context import required_alias, tenant_atomic, tenant_on_commit

CHUNK_BYTES = 256 * 1024


def store_upload(name: str, content: BinaryIO | Iterable[bytes], content_type: str, owner_id: UUID) -> File:
    """Keep a content in the current tenant and give the new file.

    ``content`` is a binary file, read from where it stands, or its chunks. ``name`` may be anything a client sends and
    is made fit for display; ``content_type`` is what the client says. Raises ``FileNameError``, what ``keep`` raises,
    and ``NoTenantError`` where no tenant is current.
    """
    name = display_name(name)
    with Incoming(required_alias(), current_limits().check) as incoming:
        for chunk in _chunks_of(content):
            incoming.write(chunk)
        return keep(incoming.finish(), name, content_type, owner_id)


def keep(received: Received, name: str, content_type: str, owner_id: UUID) -> File:
    """Make what has arrived a file of the current tenant.

    Raises ``FileTooLargeError``, ``QuotaExceededError``, ``StorageFullError``; then nothing is kept.
    """
    sha256, store = received.sha256, contents()
    try:
        store.prepare(received)
        with tenant_atomic():
            _require_room(received)
            hold_content(sha256)
            store.keep(received)
            return File.objects.create(
                name=name,
                sha256=sha256,
                size=received.size,
                content_type=content_type_of(received.head, name, content_type),
                owner_id=owner_id,
            )
    except BaseException:
        # Where the database does not answer any more, a content without a row may stay; see above.
        with suppress(DatabaseError):
            remove_unused_content(sha256)
        raise


def open_file(file: File) -> BinaryIO:
    """The content of a file of the current tenant; raises ``ContentMissingError``."""
    return contents().open(required_alias(), file.sha256)


def delete_file(file: File) -> None:
    """Delete a file of the current tenant, and its content once no other file has the same.

    Documents in the trash let go of it, and come back without it. Raises ``FileInUseError`` while another needs it.
    """
    sha256 = file.sha256
    try:
        with tenant_atomic():
            Document.objects.trashed().filter(file=file).update(file=None)
            file.delete()
            # Now, as this may stand inside another transaction, whose end is too late to be told apart.
            connections[required_alias()].check_constraints()
            # After the commit: taken back, the deletion must still find its content.
            tenant_on_commit(lambda: remove_unused_content(sha256))
    except (ProtectedError, IntegrityError) as error:
        # IntegrityError: a document came to need it after Django had looked; the database's key refused.
        raise FileInUseError(file.name) from error


def remove_unused_content(sha256: str) -> bool:
    """Remove a content of the current tenant that no file has; whether it was so."""
    with tenant_atomic():
        hold_content(sha256)
        if is_used(sha256):
            return False
        contents().remove(required_alias(), sha256)
        return True


def is_used(sha256: str) -> bool:
    """Whether a file of the current tenant has this content."""
    return File.objects.filter(sha256=sha256).exists()


def hold_content(sha256: str) -> None:
    """Keep others from adding or removing this content until the transaction ends.

    The race: one request deletes the last file of a content and finds no other, a second stores a new file of the same
    content, then the first removes the content under it. Held for a rename or an unlink only, and by nobody who
    migrates, so whoever waits for it cannot block a ``CREATE INDEX CONCURRENTLY`` for ever.
    """
    key = int.from_bytes(bytes.fromhex(sha256)[:8], "big", signed=True)
    with connections[required_alias()].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def _require_room(received: Received) -> None:
    """Look once more, now that no other upload is recorded meanwhile.

    Always before ``hold_content``: two who take both locks in another order would wait for each other.
    """
    if said_limits().quota:
        hold_quota()
        current_limits().check(received.size)


def _chunks_of(content: BinaryIO | Iterable[bytes]) -> Iterable[bytes]:
    if hasattr(content, "read"):
        return iter(lambda: content.read(CHUNK_BYTES), b"")
    return content
