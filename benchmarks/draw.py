"""Draws the benchmarks' pages and pictures from their figures; again, with `python -m benchmarks.draw [FOLDER]`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks import plot, report
from benchmarks.requests import plot as plot_of_requests
from benchmarks.requests import report as report_of_requests
from benchmarks.requests.results import Results as OfRequests
from benchmarks.results import Results as OfRollout

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"


def draw(part: str, folder: Path) -> None:
    """Read PART.json in the folder, write PART.md and PART.png beside it."""
    page, picture = PARTS[part](folder / f"{part}.json")
    (folder / f"{part}.md").write_text(page)
    picture.savefig(folder / f"{part}.png", dpi=144)


def rollout(figures: Path) -> tuple[str, Figure]:
    results = OfRollout.load(figures)
    return report.page(results), plot.picture(results)


def requests(figures: Path) -> tuple[str, Figure]:
    results = OfRequests.load(figures)
    return report_of_requests.page(results), plot_of_requests.picture(results)


PARTS: dict[str, Callable[[Path], tuple[str, Figure]]] = {"rollout": rollout, "requests": requests}

if __name__ == "__main__":
    chosen = Path(*sys.argv[1:2]) if sys.argv[1:] else FOLDER
    for part in PARTS:
        if (chosen / f"{part}.json").exists():
            draw(part, chosen)
