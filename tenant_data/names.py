"""A file's name as it is shown and offered for saving. Never part of a path. Pure."""

from __future__ import annotations

import re
import unicodedata

from tenant_data.errors import FileNameError

NAME_MAX_LENGTH = 255
_EXTENSION_MAX_LENGTH = 20

# Marks that turn the direction of writing make "exe.gpj" look like "jpg.exe" read backwards.
_DIRECTION_MARKS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def display_name(name: str) -> str:
    """The last part of a path, without control characters, at most 255 characters with its extension kept.

    Raises ``FileNameError`` where nothing is left.
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(char for char in last if _may_be_shown(char)).strip()
    if shown in {"", ".", ".."}:
        raise FileNameError(repr(name[:80]))
    if len(shown) <= NAME_MAX_LENGTH:
        return shown
    stem, dot, extension = shown.rpartition(".")
    if not stem or len(extension) > _EXTENSION_MAX_LENGTH:
        return shown[:NAME_MAX_LENGTH]
    return stem[: NAME_MAX_LENGTH - len(extension) - 1] + dot + extension


def _may_be_shown(char: str) -> bool:
    # Cc: controls, NUL and line ends among them; Cs: halves of a character, which PostgreSQL cannot hold; Zl and Zp:
    # separators of lines and paragraphs.
    return unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"} and char not in _DIRECTION_MARKS
