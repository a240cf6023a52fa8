"""Contents on this machine's disk, or on one that all machines mount: ``TENANT_FILES_ROOT/<alias>/ab/<sha256>``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from tenant_data.errors import ContentMissingError
from tenant_data.storage.folders import make_folder, sync_folder, tenant_folder
from tenant_data.storage.incoming import Received, full_disk_told
from tenant_data.storage.place import is_sha256, place_of


class DiskContents:
    """See ``tenant_data.storage.contents``."""

    def prepare(self, received: Received) -> None:
        """Nothing: a rename takes no time."""

    def keep(self, received: Received) -> None:
        target = path_of(received.alias, received.sha256)
        with full_disk_told():
            make_folder(target.parent)
            os.replace(received.path, target)
            sync_folder(target.parent)

    def open(self, alias: str, sha256: str) -> BinaryIO:
        try:
            return path_of(alias, sha256).open("rb")
        except FileNotFoundError as error:
            raise ContentMissingError(sha256) from error

    def remove(self, alias: str, sha256: str) -> None:
        path_of(alias, sha256).unlink(missing_ok=True)

    def all(self, alias: str) -> Iterator[tuple[str, int]]:
        for folder in sorted(tenant_folder(alias).glob("[0-9a-f][0-9a-f]")):
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_sha256(entry.name):
                        with suppress(FileNotFoundError):
                            yield entry.name, entry.stat().st_size

    def signed_url(self, alias: str, sha256: str, *, content_type: str, disposition: str) -> str | None:
        return None


def path_of(alias: str, sha256: str) -> Path:
    """Where a content lies; raises ``ValueError`` for anything but an alias and a hash."""
    return Path(settings.TENANT_FILES_ROOT) / place_of(alias, sha256)
