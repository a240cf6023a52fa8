"""Contents that are still arriving: ``TENANT_FILES_ROOT/<alias>/incoming/``.

That is in the tenant's own tree, so that moving one into place is an atomic rename within one file system.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from tenant_data.errors import StorageFullError
from tenant_data.storage.folders import make_folder, tenant_folder

HEAD_BYTES = 8192
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Received:
    """A content that has arrived whole and is on disk, but not yet in its place.

    ``size`` is in bytes; ``head`` is its beginning, by which its type is told.
    """

    alias: str
    sha256: str
    size: int
    head: bytes
    path: Path


class Incoming:
    """Takes a content chunk by chunk, hashes and counts it, and never holds more of it than a chunk and its head.

    ``with Incoming(alias, check) as incoming:`` Whatever breaks off, the sender, the disk or the block, leaves nothing:
    what was not moved into place is removed on leaving. ``check`` is asked with the size so far, and raises what
    refuses it. A full disk is ``StorageFullError``.

    It is locked for as long as it is open, by which ``left_behind`` tells it from what a killed process left.
    """

    def __init__(self, alias: str, check: Callable[[int], None]) -> None:
        self._alias, self._check = alias, check
        self._digest, self._size, self._head = hashlib.sha256(), 0, b""
        folder = tenant_folder(alias) / "incoming"
        with full_disk_told():
            make_folder(folder)
            self.path = folder / secrets.token_hex(16)
            # Unbuffered: what is in a buffer would be written at the close, after the failure was told.
            self._file = self.path.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, chunk: bytes) -> None:
        self._check(self._size + len(chunk))
        self._size += len(chunk)
        self._digest.update(chunk)
        self._head += chunk[: HEAD_BYTES - len(self._head)]
        left = memoryview(chunk)
        with full_disk_told():
            while left:
                left = left[self._file.write(left) :]

    def finish(self) -> Received:
        """Have it all on disk. It stays locked, and is removed on leaving unless it is moved into place before."""
        with full_disk_told():
            # Before the rename: after a crash of the machine a name must never stand for half a content.
            os.fsync(self._file.fileno())
        return Received(self._alias, self._digest.hexdigest(), self._size, self._head, self.path)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._file.close()

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


@contextmanager
def full_disk_told() -> Iterator[None]:
    """``StorageFullError`` for the errors that mean: no room, whether of the disk, of a quota on it or of a limit."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(error.strerror or "") from error
        raise


def left_behind(alias: str, grace: timedelta) -> Iterator[Path]:
    """What killed processes left of uploads: nobody has it open, and nothing was written to it for ``grace``.

    The lock alone would not do, since a process opens its file a moment before it locks it; nor would the age, since a
    sender may pause for long.
    """
    folder = tenant_folder(alias) / "incoming"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            age_s = time.time() - os.fstat(file.fileno()).st_mtime
            # It may have been moved into place since it was listed.
            if age_s >= grace.total_seconds() and path.exists():
                yield path
