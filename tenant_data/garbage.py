"""Collecting what killed uploads left: pieces that had not arrived whole, and contents that no file has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tenant_data.files import is_used, remove_unused_content
from tenant_data.storage.contents import contents
from tenant_data.storage.incoming import left_behind
from tenants.context import required_alias

GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Garbage:
    """How many there were of each, and their bytes together."""

    uploads: int = 0
    contents: int = 0
    size: int = 0

    def __add__(self, other: Garbage) -> Garbage:
        return Garbage(self.uploads + other.uploads, self.contents + other.contents, self.size + other.size)

    def __bool__(self) -> bool:
        return bool(self.uploads or self.contents)


def collect(grace: timedelta = GRACE, *, dry_run: bool = False) -> Garbage:
    """Remove the current tenant's, or only look. Uploads that go on meanwhile lose nothing.

    What is still arriving is locked; what was written to within ``grace`` is left for the next time. A content without
    a file is looked at again under the lock that whoever stores it takes.
    """
    return _uploads(grace, dry_run=dry_run) + _contents(dry_run=dry_run)


def _uploads(grace: timedelta, *, dry_run: bool) -> Garbage:
    found = Garbage()
    for path in left_behind(required_alias(), grace):
        found += Garbage(uploads=1, size=path.stat().st_size)
        if not dry_run:
            path.unlink(missing_ok=True)
    return found


def _contents(*, dry_run: bool) -> Garbage:
    found = Garbage()
    for sha256, size in contents().all(required_alias()):
        if not is_used(sha256) and (dry_run or remove_unused_content(sha256)):
            found += Garbage(contents=1, size=size)
    return found
