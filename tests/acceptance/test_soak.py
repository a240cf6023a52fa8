"""Reads and writes by many threads over many tenants, with fewer connections than tenants: none ever sees a row of
another tenant's, and none is lost. ``make soak`` does a million over 200 tenants.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.db import connections

from tenants.context import tenant_atomic, use_tenant
from tenants.databases.sessions import maintenance
from tenants.models import Tenant
from tenants.routing.pool import process_pool
from tests.apps.notes.models import Note
from tests.support.fleet import Fleet, as_owner, own_server
from tests.support.pools import sessions_of

OPERATIONS = int(os.environ.get("SILO_SOAK", "960"))
TENANTS = min(200, max(4, OPERATIONS // 1000))
CAP = min(20, TENANTS - 2)
THREADS = 16
VISIT = 20
"""Operations in a tenant before the next one."""

MOST_GROWN_MIB = 24.0
"""Of the process, after its first tenth: what a million operations may leave behind."""

SAMPLE_EVERY_S = 0.02


@dataclass
class Visitor:
    """A thread's work. What it writes has the tenant's alias in it, and it knows the keys of all that is its own."""

    tenants: list[Tenant]
    chance: Random
    ends: threading.Event
    mine: dict[str, list[int]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def work(self, operations: int) -> None:
        try:
            while self.done.total() < operations and not self.ends.is_set():
                with use_tenant(self.next_tenant()) as tenant:
                    for _ in range(VISIT):
                        self.operate(tenant.alias)
        except BaseException:
            self.ends.set()
            raise
        finally:
            connections.close_all()

    def next_tenant(self) -> Tenant:
        """One of the few that are busy, as is usual, or any: then somebody's connection must go."""
        busy = self.tenants[: CAP // 2] if self.chance.random() < 0.8 else self.tenants
        return self.chance.choice(busy)

    def operate(self, alias: str) -> None:
        mine = self.mine.setdefault(alias, [])
        deeds: dict[Callable[[str, list[int]], None], int] = {self.read_page: 9, self.read_raw: 2, self.create: 5}
        if mine:
            deeds |= {self.read_one: 5, self.update: 3, self.delete: 2 if len(mine) < 20 else 9}
        (deed,) = self.chance.choices(list(deeds), list(deeds.values()))
        deed(alias, mine)
        self.done[deed.__name__] += 1

    def read_page(self, alias: str, mine: list[int]) -> None:
        assert {note.text for note in Note.objects.order_by("-pk")[:10]} <= {alias}

    def read_raw(self, alias: str, mine: list[int]) -> None:
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT current_database(), current_user, count(*) FROM notes_note WHERE text <> %s", [alias]
            )
            assert cursor.fetchone() == (alias, alias, 0)

    def read_one(self, alias: str, mine: list[int]) -> None:
        assert Note.objects.get(pk=self.chance.choice(mine)).text == alias

    def create(self, alias: str, mine: list[int]) -> None:
        mine.append(Note.objects.create(text=alias).pk)

    def update(self, alias: str, mine: list[int]) -> None:
        with tenant_atomic():
            assert Note.objects.filter(pk=self.chance.choice(mine)).update(text=alias) == 1

    def delete(self, alias: str, mine: list[int]) -> None:
        assert Note.objects.filter(pk=mine.pop(self.chance.randrange(len(mine)))).delete()[0] == 1


@pytest.fixture
def tenants(fleet: Fleet, settings: Any) -> Iterator[list[Tenant]]:
    process_pool.cache_clear()
    settings.TENANT_POOL_SIZE, settings.TENANT_POOL_WAIT = CAP, 60
    made = fleet.make(*(f"soak-{number}" for number in range(TENANTS)))
    yield made
    for tenant in made:
        process_pool().empty(tenant.alias)
    process_pool.cache_clear()


class ASoak:
    def test_shows_no_foreign_row_loses_none_and_stays_within_the_limit(
        self, tenants: list[Tenant], capsys: pytest.CaptureFixture[str]
    ) -> None:
        ends = threading.Event()
        visitors = [Visitor(tenants, Random(number), ends) for number in range(THREADS)]
        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as threads:
            working = [threads.submit(visitor.work, OPERATIONS // THREADS) for visitor in visitors]
            most, grown_mib = watch(tenants, visitors, working)
        seconds = time.monotonic() - began
        for each in working:
            each.result()
        for tenant in tenants:
            kept = sorted(pk for visitor in visitors for pk in visitor.mine.get(tenant.alias, ()))
            assert as_owner(tenant, "SELECT id, text FROM notes_note ORDER BY id") == [
                (pk, tenant.alias) for pk in kept
            ]
        assert CAP // 2 <= most <= CAP
        assert grown_mib <= MOST_GROWN_MIB
        done = sum((visitor.done for visitor in visitors), Counter[str]())
        with capsys.disabled():
            os.write(1, told(done, seconds, most, grown_mib).encode())


def watch(tenants: list[Tenant], visitors: list[Visitor], working: list[Future[None]]) -> tuple[int, float]:
    """While they work: the most sessions that the server had at once, and the MiB that were added after a tenth."""
    most, first_mib = 0, None
    with maintenance(own_server()) as cursor:
        while wait_for(working, timeout=SAMPLE_EVERY_S).not_done:
            most = max(most, sessions_of(*tenants, cursor=cursor))
            if first_mib is None and sum(visitor.done.total() for visitor in visitors) > OPERATIONS // 10:
                first_mib = resident_mib()
    return most, resident_mib() - (first_mib or resident_mib())


def resident_mib() -> float:
    """The memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def told(done: Counter[str], seconds: float, most: int, grown_mib: float) -> str:
    deeds = ", ".join(f"{times:,} {deed}" for deed, times in sorted(done.items()))
    counts = process_pool().counts
    return (
        f"\n{done.total():,} operations over {TENANTS} tenants by {THREADS} threads in {seconds:.1f} s: "
        f"{done.total() / seconds:,.0f} a second\n{deeds}\n"
        f"at most {most} connections of {CAP}; opened {counts.opened:,}, used again {counts.reused:,}; "
        f"memory grew by {grown_mib:.1f} MiB\n"
    )
