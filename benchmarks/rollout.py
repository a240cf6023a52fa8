"""Rollouts beside the floor, a loop and django-tenants: a migration of five operations, and nothing to do.

Each contestant is a whole process; they take turns, and medians are given. Between turns the fleet is brought back,
which is not measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.cluster import cluster, say
from benchmarks.contestants import CONTESTANTS, FLEETS, Contestant
from benchmarks.measure import Taken, run
from benchmarks.results import EMPTY_FLEET, NOTHING_TO_DO, ROLLOUT, Results, Run


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
        os.sync()  # What was written before is on the disk, or the one whose turn it is would wait for that.
        floor = contestant.fleet.floor("replay" if phase == ROLLOUT else "look", self.folder)
        return self.run(contestant.command or floor, contestant.settings)

    def grow(self, size: int) -> None:
        for fleet in FLEETS:
            say(f"{size:6} tenants  making those of {fleet.name}")
            self.run(fleet.grow(size, self.folder), fleet.settings)

    def run(self, command: tuple[str, ...], settings: str) -> Taken:
        return run(command, settings, self.folder / "byte-code")


def measured(sizes: list[int], repetitions: int, slow_repetitions: int, folder: Path) -> Results:
    """Fleets of these sizes. Raises ``CommandFailedError``."""
    results = Results(machine.describe() | machine.describe_peer())
    with cluster():
        for one in Course(folder, repetitions, min(slow_repetitions, repetitions)).runs(sizes):
            results.runs.append(one)
            say(f"{one.tenants:6} tenants  {one.phase:13}  {one.contestant:22}{one.seconds:8.2f} s")
    return results
