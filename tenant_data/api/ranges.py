"""The part of a content that a request asks for: RFC 9110, section 14. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from django.utils.http import parse_http_date_safe

_SINGLE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE | re.ASCII)


class UnsatisfiableRangeError(Exception):
    """The content has no such part."""


@dataclass(frozen=True)
class Part:
    """Bytes ``first`` to ``last``, both included, of a content of ``whole`` bytes."""

    first: int
    last: int
    whole: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.whole}"


def part_of(header: str, whole: int) -> Part | None:
    """The part that a ``Range`` header asks for; None where all of it is the answer.

    That is so for several ranges at once, for units that are not bytes and for what is no range: a server may ignore
    each of them. Raises ``UnsatisfiableRangeError``.
    """
    match = _SINGLE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        first, last = max(whole - int(match[2]), 0), whole - 1
    else:
        first, last = int(match[1]), min(int(match[2] or whole), whole - 1)
        if match[2] and int(match[2]) < first:
            return None
    if first >= whole:
        raise UnsatisfiableRangeError
    return Part(first, last, whole)


def is_still(if_range: str, etag: str, last_modified: datetime) -> bool:
    """Whether what the client holds a part of is this: its ``If-Range`` is the strong ETag, or the exact date."""
    if if_range.startswith(('"', "W/")):
        return if_range == etag
    return parse_http_date_safe(if_range) == int(last_modified.timestamp())
