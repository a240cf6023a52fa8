"""The picture of requests: how many a second each contestant answers, and each round's time beside the peer's."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.requests.results import ENDPOINTS, PEER, Results

COLOURS = ("#666666", "#aaaaaa", "#56b4e9", "#0072b2", "#cc79a7", "#009e73", "#d55e00")
TARGET = 1.10
"""The most that a tenant's endpoint is to take of the peer's time."""


def picture(results: Results) -> Figure:
    figure = Figure(figsize=(13, 8.4), layout="constrained")
    rows = figure.subplots(len(ENDPOINTS), 2, squeeze=False)
    for (rates, ratios), (endpoint, title) in zip(rows, ENDPOINTS.items(), strict=True):
        bars(rates, results, endpoint, title)
        rounds(ratios, results, endpoint)
    on = f"{results.machine['Processor']}, Python {results.machine['Python']}, Django {results.machine['Django']}"
    figure.suptitle(f"Requests to a tenant's endpoint, whole WSGI application, one thread\n{on}")
    return figure


def bars(axes: Axes, results: Results, endpoint: str, title: str) -> None:
    names = list(results.contestants)
    drawn = axes.barh(names, [results.requests_a_second(endpoint, name) for name in names], color=COLOURS)
    axes.bar_label(drawn, fmt="%.0f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(f"Requests a second: {title} (more is better)")


def rounds(axes: Axes, results: Results, endpoint: str) -> None:
    """Each round's time as times the peer's, of those whose tenants' connections are pooled."""
    names = [name for name in results.contestants if name != PEER and not name.endswith("connecting")]
    ratios = {
        name: [mine / plain for mine, plain in zip(results.ms(endpoint, name), results.ms(endpoint, PEER), strict=True)]
        for name in names
    }
    axes.boxplot([ratios[name] for name in names], tick_labels=names, orientation="horizontal", showfliers=False)
    for height, name in enumerate(names, start=1):
        axes.text(
            results.times_of(endpoint, name), height + 0.43, f"{results.times_of(endpoint, name):.3f}", ha="center"
        )
    axes.axvline(1, color=COLOURS[0])
    axes.axvline(TARGET, color=COLOURS[-1], linestyle="--", label=f"{TARGET:.2f}")
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    axes.set_title("Time, as times of plain's in the same round (less is better)")
