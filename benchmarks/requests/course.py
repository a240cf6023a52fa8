"""Has the contestants take turns at the same requests.

All are up at once, and each answers a few requests before the next one does, in an order that turns with each round: so
what else the machine does hits all alike. Ratios are taken within a round, and their median is given. Two processes of
the same code differ by some 3 %, as their memory happens to lie, so each contestant has several, one after the other.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.cluster import cluster, say
from benchmarks.measure import PROJECT, CommandFailedError, environment, run
from benchmarks.requests.contestants import DOCUMENTS, FEW, MANY, ONE, TEN, Contestant, Database, contestants
from benchmarks.requests.results import ENDPOINTS, Results, Turn

REQUESTS = 30
"""Of one turn."""

PROCESSES = 8
"""Of each contestant, which share the rounds."""


@dataclass
class Answering:
    """A contestant's process."""

    contestant: Contestant
    process: subprocess.Popen[str]

    def answer(self, endpoint: str, requests: int) -> tuple[float, float]:
        """Seconds by the clock and of the processor. Raises ``CommandFailedError``."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{endpoint} {requests}\n")
        self.process.stdin.flush()
        taken = self.process.stdout.readline().split()
        if not taken:
            raise CommandFailedError(f"{self.contestant.name} ended; what it said stands above.")
        return float(taken[0]), float(taken[1])


def measure(registered: int, real: int, rounds: int, folder: Path) -> Iterator[Turn]:
    for database, size, how_real in ((ONE, 1, 1), (TEN, FEW, FEW), (MANY, registered, real)):
        say(f"making {database.name}: {size:,} tenants")
        command = (sys.executable, "-m", "benchmarks.requests.fleet", *map(str, (size, how_real, DOCUMENTS)))
        with of_database(database):
            run((*command, str(work(database, folder))), database.settings, folder / "byte-code")
    for first in range(min(PROCESSES, rounds)):
        with ExitStack() as stack:
            up = [stack.enter_context(answering(each, folder)) for each in contestants(registered, real)]
            say("asking each tenant twice, which is not counted")
            for each in up:
                for endpoint in ENDPOINTS:
                    each.answer(endpoint, max(2 * each.contestant.tenants, 100))
            for number in range(first, rounds, PROCESSES):
                for endpoint in ENDPOINTS:
                    yield from one_round(up, endpoint, number)
                up.append(up.pop(0))


def one_round(up: list[Answering], endpoint: str, number: int) -> Iterator[Turn]:
    for each in up:
        seconds, cpu_seconds = each.answer(endpoint, REQUESTS)
        yield Turn(endpoint, number, each.contestant.name, REQUESTS, round(seconds, 5), round(cpu_seconds, 5))


@contextmanager
def of_database(database: Database, pool: int = FEW) -> Iterator[None]:
    """What is started inside is told which main database it has."""
    os.environ |= {"SILO_BENCH_DATABASE": database.name, "TENANT_POOL_SIZE": str(pool)}
    yield
    del os.environ["SILO_BENCH_DATABASE"], os.environ["TENANT_POOL_SIZE"]


@contextmanager
def answering(contestant: Contestant, folder: Path) -> Iterator[Answering]:
    """A contestant's process, which ends where this is left."""
    where = (str(work(contestant.database, folder)), str(contestant.tenants), contestant.below)
    with of_database(contestant.database, contestant.pool):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.requests.answer", *where],
            cwd=PROJECT,
            env=environment(os.environ, contestant.database.settings, folder / "byte-code"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        yield Answering(contestant, process)
    finally:
        process.kill()
        process.communicate()


def work(database: Database, folder: Path) -> Path:
    return folder / f"{database.name}.json"


def measured(registered: int, real: int, rounds: int, folder: Path) -> Results:
    results = Results(machine.describe(), {each.name: each.what for each in contestants(registered, real)})
    with cluster():
        for turn in measure(registered, real, rounds, folder):
            results.turns.append(turn)
            say(f"round {turn.round:3}  {turn.endpoint:9}{turn.contestant:20}{turn.seconds * 1000 / REQUESTS:7.2f} ms")
    return results
