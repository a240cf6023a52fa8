"""Where the content of files lies on disk: once for each tenant and hash. Knows no table.

``TENANT_FILES_ROOT/<alias>/ab/<sha256>``, where ``ab`` are the hash's first two digits. A path is made from the alias
and the hash alone, never from anything a user typed. What is still arriving lies in ``<alias>/incoming/``, in the same
tree, so that moving it into place is one atomic rename.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from tenant_data.errors import ContentMissingError

_ALIAS = re.compile(r"[a-z0-9_]{1,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Received:
    """A content that has arrived whole and is on disk, but not yet in its place. ``size`` is in bytes."""

    alias: str
    sha256: str
    size: int
    path: Path

    def move_into_place(self) -> None:
        """Make it the tenant's content of this hash. Harmless where that is there already: it is the same."""
        target = path_of(self.alias, self.sha256)
        _make_folder(target.parent)
        os.replace(self.path, target)
        _sync_folder(target.parent)


@contextmanager
def receive(alias: str, chunks: Iterable[bytes]) -> Iterator[Received]:
    """Write a content to disk as it arrives, never holding more than a chunk of it.

    Whatever breaks off, the sender, the disk or the caller's block, leaves nothing: what was not moved into place is
    removed on leaving.
    """
    folder = _tenant_folder(alias) / "incoming"
    _make_folder(folder)
    path = folder / secrets.token_hex(16)
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            # Before the rename: after a crash of the machine a name must never stand for half a content.
            os.fsync(file.fileno())
        yield Received(alias, digest.hexdigest(), size, path)
    finally:
        path.unlink(missing_ok=True)


def open_content(alias: str, sha256: str) -> BinaryIO:
    """The content, opened for reading; raises ``ContentMissingError``."""
    try:
        return path_of(alias, sha256).open("rb")
    except FileNotFoundError as error:
        raise ContentMissingError(sha256) from error


def remove(alias: str, sha256: str) -> None:
    """Remove a content. Whoever has it open reads on to its end."""
    path_of(alias, sha256).unlink(missing_ok=True)


def path_of(alias: str, sha256: str) -> Path:
    """Where a content lies. Raises ``ValueError`` for anything but a hash, so that no path leaves the tenant's tree."""
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"not a SHA-256 in lower-case hex: {sha256!r}")
    return _tenant_folder(alias) / sha256[:2] / sha256


def _tenant_folder(alias: str) -> Path:
    if not _ALIAS.fullmatch(alias):
        raise ValueError(f"not a database alias: {alias!r}")
    return Path(settings.TENANT_FILES_ROOT) / alias


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each of them safely on disk."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o750, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a crash of the machine, as fsync(2) asks for."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
