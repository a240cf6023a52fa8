"""A benchmark's picture: milliseconds a tenant in both phases, and peak memory, against the size of the fleet."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.results import NOTHING_TO_DO, ROLLOUT, Results

# By contestant, so that a colour means the same in every picture. Colour-blind readers tell these apart too.
LOOKS = {
    "silo": ("#0072b2", "o"),
    "floor": ("#666666", "s"),
    "loop": ("#d55e00", "^"),
    "django-tenants": ("#009e73", "D"),
    "django-tenants, tuned": ("#cc79a7", "v"),
}
LEAST_GAP = 0.045
"""Between two values at the lines' ends, as a share of the height: less, and one is written over the other."""

PLAIN = FuncFormatter(lambda value, _: f"{value:,.0f}")


def picture(results: Results) -> Figure:
    figure = Figure(figsize=(13, 5.4), layout="constrained")
    rollout, nothing, memory = figure.subplots(1, 3)
    milliseconds(rollout, results, ROLLOUT, "A migration of five operations")
    milliseconds(nothing, results, NOTHING_TO_DO, "Nothing to do")
    peaks(memory, results)
    on = f"{results.machine['Processor']}, Python {results.machine['Python']}, Django {results.machine['Django']}"
    figure.suptitle(f"Bringing a fleet of tenants to a migration: medians of whole processes, less is better\n{on}")
    handles, names = rollout.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    return figure


def milliseconds(axes: Axes, results: Results, phase: str, title: str) -> None:
    axes.set_title(title)
    axes.set_ylabel("ms a tenant, whole process (log scale)")
    lines(axes, results, lambda size, name: results.ms_a_tenant(phase, size, name))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PLAIN)
    write_last(axes, results, lambda name: results.ms_a_tenant(phase, results.sizes[-1], name))


def peaks(axes: Axes, results: Results) -> None:
    axes.set_title("Peak memory, five operations")
    axes.set_ylabel("MiB, the largest process")
    lines(axes, results, lambda size, name: results.peak_mib(ROLLOUT, size, name))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.25)
    write_last(axes, results, lambda name: results.peak_mib(ROLLOUT, results.sizes[-1], name))


def lines(axes: Axes, results: Results, value: Callable[[int, str], float]) -> None:
    """A line a contestant over the sizes."""
    axes.set_xscale("log")
    for name in results.contestants:
        colour, marker = LOOKS[name]
        axes.plot(results.sizes, [value(size, name) for size in results.sizes], color=colour, marker=marker, label=name)
    axes.set_xticks(results.sizes)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PLAIN)
    axes.margins(x=0.2)
    axes.set_xlabel("tenants (log scale)")
    axes.grid(alpha=0.3)


def write_last(axes: Axes, results: Results, value: Callable[[str], float]) -> None:
    """Each value beside the end of its line, moved up where it would stand on another. The scales are settled."""
    in_shares = axes.transData + axes.transAxes.inverted()
    free = 0.0
    for name in sorted(results.contestants, key=value):
        right, height = in_shares.transform((results.sizes[-1], value(name)))
        at = max(height, free)
        axes.text(right + 0.03, at, f"{value(name):.3g}", transform=axes.transAxes, va="center", color=LOOKS[name][0])
        free = at + LEAST_GAP
