"""Sizes as people write them: `5GiB`, `200MiB`, or plain bytes. Pure."""

from __future__ import annotations

import re

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_SIZE = re.compile(r"(\d{1,15})\s*(KiB|MiB|GiB|TiB)?", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes. Raises ``ValueError`` that says how to write one."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 5GiB, 200MiB or 1000000")
    return int(match[1]) * int(1024 ** _UNITS.index(match[2] or "bytes"))


def show_size(size: int) -> str:
    """``1.5 GiB``; whole bytes below a KiB."""
    power = min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{size / 1024**power:.{1 if power else 0}f} {_UNITS[power]}"
