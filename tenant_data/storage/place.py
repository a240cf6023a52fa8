"""Where a content lies, below a root or in a bucket: ``<alias>/ab/<sha256>``. Pure.

``ab`` are the hash's first two digits. A place is made from the alias and the hash alone, never from anything a user
typed.
"""

from __future__ import annotations

import re

_ALIAS = re.compile(r"[a-z0-9_]{1,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def place_of(alias: str, sha256: str) -> str:
    """Raises ``ValueError`` for anything but an alias and a hash, so that no place is outside the tenant's tree."""
    if not is_sha256(sha256):
        raise ValueError(f"not a SHA-256 in lower-case hex: {sha256!r}")
    return f"{tree_of(alias)}/{sha256[:2]}/{sha256}"


def tree_of(alias: str) -> str:
    """What all places of a tenant begin with."""
    if not _ALIAS.fullmatch(alias):
        raise ValueError(f"not a database alias: {alias!r}")
    return alias


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None
