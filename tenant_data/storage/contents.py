"""What keeps contents: this machine's disk, or a bucket where ``TENANT_FILES_BUCKET`` names one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from django.conf import settings

from tenant_data.storage.bucket import BucketContents
from tenant_data.storage.disk import DiskContents
from tenant_data.storage.incoming import Received


class Contents(Protocol):
    """All tenants' contents. None of these asks who is allowed to."""

    def prepare(self, received: Received) -> None:
        """Do what takes long before the database's locks are taken."""

    def keep(self, received: Received) -> None:
        """Make it the tenant's content of this hash. Harmless where that is there already: it is the same."""

    def open(self, alias: str, sha256: str) -> BinaryIO:
        """The content, opened for reading; raises ``ContentMissingError``."""

    def remove(self, alias: str, sha256: str) -> None:
        """Remove a content. Harmless where it is gone. Whoever has it open reads on to its end."""

    def all(self, alias: str) -> Iterator[tuple[str, int]]:
        """Hash and size in bytes of each content of a tenant, read as it is walked through."""

    def signed_url(self, alias: str, sha256: str, *, content_type: str, disposition: str) -> str | None:
        """Where whoever has it may fetch the content for a minute; None where there is no such place."""


def contents() -> Contents:
    return BucketContents() if settings.TENANT_FILES_BUCKET else DiskContents()
