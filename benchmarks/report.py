"""A benchmark's page, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.contestants import CONTESTANTS
from benchmarks.results import EMPTY_FLEET, NOTHING_TO_DO, ROLLOUT, Results

HEAD = """\
# Rollouts

Made by `make bench`, from [rollout.json](rollout.json). Each contestant is a whole process, from its start to its end,
that of Python and Django included. They took turns; the figures are medians. Every tenant was at the same migration
when a turn began; that was restored in between and is not counted. Before "nothing to do" each tenant got one plain
session that is not counted, as a database's first after DDL is slower."""

MEMORY = """\
## Peak memory

MiB, over an empty fleet and during the migration of five operations; of the largest process. django-tenants has a
parent and as many children as it is told, which share some of it."""

START = """\
## Start-up

The same commands over an empty fleet."""

REPEAT = """\
## Repeat it

On a machine that does nothing else, some eight minutes (with 1,000 tenants half an hour), as root or not:

```sh
make bench
make bench BENCH="--tenants 50,200,1000"
make bench BENCH="--help"
```

It runs a PostgreSQL of its own, installs `requirements-bench.txt`, and makes a virtual environment for django-tenants.
`.venv/bin/python -m benchmarks.draw` draws this page and the picture again from the figures."""


def page(results: Results) -> str:
    parts = [
        HEAD,
        table(["contestant", "what runs"], ([one.name, one.what] for one in CONTESTANTS)),
        table(["on", ""], ([name, value] for name, value in results.machine.items())),
        "![Milliseconds a tenant, and peak memory, by fleet size](rollout.png)",
    ]
    for phase, title in ((ROLLOUT, "A migration of five operations"), (NOTHING_TO_DO, "Nothing to do")):
        for size in results.sizes:
            parts += [f"## {title}, {size} tenants", times(results, phase, size)]
    return "\n\n".join([*parts, MEMORY, memory(results), START, start_up(results), REPEAT]) + "\n"


def times(results: Results, phase: str, size: int) -> str:
    """One row a contestant: its median, the spread, and how it stands to the floor and to Silo."""
    floor, silo = (results.median_s(phase, size, name) for name in ("floor", "silo"))
    rows = []
    for name in results.contestants:
        seconds = results.median_s(phase, size, name)
        ratios = [f"{seconds / other:.2f}" for other in (floor, silo)]
        rows.append([name, *spread(results, phase, size, name), f"{seconds * 1000 / size:.1f}", *ratios])
    return table(["", "s", "from, to", "runs", "ms a tenant", "of the floor", "of silo"], rows)


def memory(results: Results) -> str:
    rows = [
        [
            name,
            f"{results.peak_mib(EMPTY_FLEET, 0, name):.0f}",
            *(f"{results.peak_mib(ROLLOUT, size, name):.0f}" for size in results.sizes),
        ]
        for name in results.contestants
    ]
    return table(["", "empty fleet", *(f"{size} tenants" for size in results.sizes)], rows)


def start_up(results: Results) -> str:
    return table(
        ["", "s", "from, to", "runs"],
        ([name, *spread(results, EMPTY_FLEET, 0, name)] for name in results.contestants),
    )


def spread(results: Results, phase: str, size: int, name: str) -> list[str]:
    """The median in seconds, the shortest and longest, and of how many runs."""
    taken = sorted(run.seconds for run in results.of(phase, size, name))
    return [f"{results.median_s(phase, size, name):.2f}", f"{taken[0]:.2f}, {taken[-1]:.2f}", str(len(taken))]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
