"""Plain tables: columns that line up, no frames, so that a shell's tools can cut them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO


def write_table(out: TextIO, headings: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Write ``rows`` under ``headings``; where there are none, the sentence ``empty``."""
    if not rows:
        out.write(empty + "\n")
        return
    table = [tuple(heading.upper() for heading in headings), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    for row in table:
        out.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
