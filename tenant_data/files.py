"""Keeping and deleting files: the row in the tenant's database and the content on disk, together.

A row never stands without its content. The other way round, a process killed between the two can leave a content
without a row, which does no harm and is used by the next upload of the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO
from uuid import UUID

from django.db import DatabaseError, IntegrityError, connections
from django.db.models import ProtectedError

from tenant_data import storage
from tenant_data.errors import FileInUseError
from tenant_data.models import File
from tenant_data.names import display_name
from tenants.context import required_alias, tenant_atomic, tenant_on_commit

CHUNK_BYTES = 64 * 1024
UNKNOWN_CONTENT_TYPE = "application/octet-stream"

_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
"""type "/" subtype, as RFC 6838, section 4.2, restricts their names."""


def store_upload(name: str, content: BinaryIO | Iterable[bytes], content_type: str, owner_id: UUID) -> File:
    """Keep a content in the current tenant and give the new file.

    ``content`` is a binary file, read from where it stands, or its chunks. ``name`` may be anything a client sends and
    is made fit for display. Raises ``FileNameError``, and ``NoTenantError`` where no tenant is current.
    """
    alias, name = required_alias(), display_name(name)
    with storage.receive(alias, _chunks_of(content)) as received:
        try:
            with tenant_atomic():
                _hold_content(received.sha256)
                received.move_into_place()
                return File.objects.create(
                    name=name,
                    sha256=received.sha256,
                    size=received.size,
                    content_type=_known_content_type(content_type),
                    owner_id=owner_id,
                )
        except BaseException:
            # Where the database does not answer any more, a content without a row may stay; see above.
            with suppress(DatabaseError):
                _remove_unused_content(received.sha256)
            raise


def open_file(file: File) -> BinaryIO:
    """The content of a file of the current tenant; raises ``ContentMissingError``."""
    return storage.open_content(required_alias(), file.sha256)


def delete_file(file: File) -> None:
    """Delete a file of the current tenant, and its content once no other file has the same.

    Raises ``FileInUseError`` while a document needs it.
    """
    sha256 = file.sha256
    try:
        with tenant_atomic():
            file.delete()
            # After the commit: taken back, the deletion must still find its content.
            tenant_on_commit(lambda: _remove_unused_content(sha256))
    except (ProtectedError, IntegrityError) as error:
        # IntegrityError: a document came to need it after Django had looked; the database's key refused.
        raise FileInUseError(file.name) from error


def _remove_unused_content(sha256: str) -> None:
    with tenant_atomic():
        _hold_content(sha256)
        if not File.objects.filter(sha256=sha256).exists():
            storage.remove(required_alias(), sha256)


def _hold_content(sha256: str) -> None:
    """Keep others from adding or removing this content until the transaction ends.

    The race: one request deletes the last file of a content and finds no other, a second stores a new file of the same
    content, then the first removes the content under it. Held for a rename or an unlink only, and by nobody who
    migrates, so whoever waits for it cannot block a ``CREATE INDEX CONCURRENTLY`` for ever.
    """
    key = int.from_bytes(bytes.fromhex(sha256)[:8], "big", signed=True)
    with connections[required_alias()].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def _known_content_type(content_type: str) -> str:
    plain = content_type.partition(";")[0].strip().lower()
    return plain if _CONTENT_TYPE.fullmatch(plain) else UNKNOWN_CONTENT_TYPE


def _chunks_of(content: BinaryIO | Iterable[bytes]) -> Iterable[bytes]:
    if hasattr(content, "read"):
        return iter(lambda: content.read(CHUNK_BYTES), b"")
    return content
