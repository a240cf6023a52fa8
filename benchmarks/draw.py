"""Draws a benchmark's page and picture from its figures; again, with `python -m benchmarks.draw [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import plot, report
from benchmarks.results import Results

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"


def draw(folder: Path) -> None:
    """Read rollout.json in the folder, write rollout.md and rollout.png beside it."""
    results = Results.load(folder / "rollout.json")
    (folder / "rollout.md").write_text(report.page(results))
    plot.picture(results).savefig(folder / "rollout.png", dpi=144)


if __name__ == "__main__":
    draw(Path(*sys.argv[1:2]) if sys.argv[1:] else FOLDER)
