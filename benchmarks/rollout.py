"""Rollouts beside the floor, a loop and django-tenants: a migration of five operations, and nothing to do.

Each contestant is a whole process; they take turns, and medians are given. Between turns the fleet is brought back,
which is not measured. Writes rollout.json, rollout.md and rollout.png.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.contestants import CONTESTANTS, FLEETS, PEER_PYTHON, Contestant
from benchmarks.draw import FOLDER, draw
from benchmarks.measure import CommandFailedError, Taken, run
from benchmarks.results import EMPTY_FLEET, NOTHING_TO_DO, ROLLOUT, Results, Run
from platform_site import embedded


@dataclass(frozen=True)
class Course:
    """What all runs of one benchmark share."""

    folder: Path
    repetitions: int
    slow_repetitions: int

    def runs(self, sizes: list[int]) -> Iterator[Run]:
        """Every counted run. What is run before it for the first time is not counted: it writes byte code."""
        self.grow(0)
        for contestant in CONTESTANTS:
            self.turn(contestant, NOTHING_TO_DO)
        for contestant in self.turns():
            yield self.counted(contestant, EMPTY_FLEET, 0)
        self.grow(1)
        for contestant in CONTESTANTS:
            self.both_phases(contestant, 1)
        for size in sizes:
            self.grow(size)
            for contestant in self.turns():
                yield from self.both_phases(contestant, size)

    def turns(self) -> Iterator[Contestant]:
        """Each in turn, again and again; the slow ones drop out earlier."""
        for repetition in range(self.repetitions):
            for contestant in CONTESTANTS:
                if not contestant.slow or repetition < self.slow_repetitions:
                    yield contestant

    def both_phases(self, contestant: Contestant, size: int) -> list[Run]:
        fleet = contestant.fleet
        self.run(fleet.restore(), fleet.settings)
        rollout = self.counted(contestant, ROLLOUT, size)
        # That it did its work; and after DDL a database's first session is slower, whoever's it is.
        self.run(fleet.floor("check", self.folder), fleet.settings)
        return [rollout, self.counted(contestant, NOTHING_TO_DO, size)]

    def counted(self, contestant: Contestant, phase: str, size: int) -> Run:
        taken = self.turn(contestant, phase)
        return Run(phase, size, contestant.name, round(taken.seconds, 4), round(taken.peak_mib, 1))

    def turn(self, contestant: Contestant, phase: str) -> Taken:
        floor = contestant.fleet.floor("replay" if phase == ROLLOUT else "look", self.folder)
        return self.run(contestant.command or floor, contestant.settings)

    def grow(self, size: int) -> None:
        for fleet in FLEETS:
            say(f"{size:6} tenants  making those of {fleet.name}")
            self.run(fleet.grow(size, self.folder), fleet.settings)

    def run(self, command: tuple[str, ...], settings: str) -> Taken:
        return run(command, settings, self.folder / "byte-code")


def main() -> None:
    options = arguments()
    if not Path(PEER_PYTHON).exists():
        sys.exit(f"django-tenants is not installed in {PEER_PYTHON}. Run `make bench`.")
    results = Results(machine.describe())
    try:
        with cluster(), tempfile.TemporaryDirectory(prefix="silo-bench-") as folder:
            course = Course(Path(folder), options.repetitions, min(options.slow_repetitions, options.repetitions))
            for one in course.runs(options.tenants):
                results.runs.append(one)
                say(f"{one.tenants:6} tenants  {one.phase:13}  {one.contestant:22}{one.seconds:8.2f} s")
    except CommandFailedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    results.save(options.output / "rollout.json")
    draw(options.output)
    say(f"Written: rollout.md, rollout.png and rollout.json in {options.output}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--tenants", type=sizes, default=[50, 200], metavar="N,N", help="fleet sizes (default 50,200)")
    add("--repetitions", type=positive, default=5, metavar="N", help="of silo and the floor (default 5)")
    add("--slow-repetitions", type=positive, default=3, metavar="N", help="of the others (default 3)")
    add("--output", type=Path, default=FOLDER, metavar="FOLDER", help="where to write (default docs/benchmarks)")
    return parser.parse_args()


def sizes(text: str) -> list[int]:
    return sorted({positive(size) for size in text.split(",")})


def positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return int(text)


@contextmanager
def cluster() -> Iterator[None]:
    """A PostgreSQL of the benchmark's own, gone at the end, also after Ctrl-C or SIGTERM. `make stop` knows it too."""
    data_dir = embedded.data_dir_of_tests("bench")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        embedded.remove(data_dir)  # what a killed benchmark left
        embedded.ensure_running(data_dir)
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # cleaning up is not to be cut off
        embedded.remove(data_dir)
        shutil.rmtree(data_dir, ignore_errors=True)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
