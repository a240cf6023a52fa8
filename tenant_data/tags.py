"""Tags as they are kept: one spelling each. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

MAX_TAGS = 20
MAX_LENGTH = 50
"""Characters, before a tag is normalised."""


def normalised(tag: str) -> str:
    """In lower case, in one form of Unicode (NFKC), with single spaces. Empty where nothing is left."""
    return " ".join(unicodedata.normalize("NFKC", tag).lower().split())


def normalised_all(tags: Iterable[str]) -> list[str]:
    """In order and each once, so that two documents with the same tags hold the same list."""
    return sorted({normalised(tag) for tag in tags} - {""})
