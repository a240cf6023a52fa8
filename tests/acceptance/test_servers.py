"""Rollouts over several servers, of which one is in trouble: cases 9, 10, 11 and 13 of the design's list."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.signals import post_migrate

from tenants.databases import refusal, sessions
from tenants.databases.audit.run import audit
from tenants.models import Server, Template, Tenant
from tenants.models.rollout import AttemptState
from tenants.rollout import budget
from tenants.rollout.outcome import Outcome
from tenants.rollout.request import Request
from tenants.rollout.result import Report
from tenants.rollout.runner import run_rollout
from tenants.rollout.selection import Selection
from tenants.rollout.target import latest
from tenants.rollout.watcher import Silent
from tenants.rollout.waves import Canary
from tests.support.faults import WAITS_AT_THE_GATE, closed_gate, fault_at_ddl
from tests.support.fleet import Fleet, as_owner
from tests.support.migrations import ADD_COLOUR, NotesMigrations
from tests.support.servers import PG_HBA, ExtraServer, extra_server


@pytest.fixture(scope="module")
def other() -> Iterator[ExtraServer]:
    """A second server."""
    with extra_server("other") as server:
        yield server


@pytest.fixture
def there(other: ExtraServer, fleet: Fleet) -> Iterator[Server]:
    """The second server's row in main."""
    with other.registered("other") as server:
        yield server


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PATIENCE", timedelta(seconds=1))
    for module in (sessions, refusal):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 2)  # The shortest that libpq knows.


class After(Silent):
    """A watcher that does something once, when so many tenants are done."""

    def __init__(self, tenants: int, act: Callable[[], object]) -> None:
        self._left, self._act = tenants, act

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None:
        self._left -= 1
        if self._left == 0:
            self._act()


def roll_out(watcher: Silent | None = None, **request: Any) -> Report:
    return run_rollout(Request(latest(), **request), watcher=watcher)


def failures_of(report: Report) -> dict[str | None, str]:
    return {failed.tenant: failed.failure.error for failed in report.failures}


def has_colour(tenant: Tenant) -> bool:
    found = as_owner(tenant, "SELECT 1 FROM information_schema.columns WHERE column_name = 'colour'")
    return found == [(1,)]


class AServerThatIsDown:
    """Case 9, with the options that a rollout has where none are given."""

    def test_fails_its_own_tenants_alone(
        self, fleet: Fleet, notes: NotesMigrations, other: ExtraServer, there: Server
    ) -> None:
        here = fleet.make("here-one", "here-two", "here-three")
        fleet.make(*[f"there-{number}" for number in range(8)], server=there)
        notes.add("0002_colour", ADD_COLOUR)
        other.end()
        report = roll_out()
        assert (report.state, report.counts[AttemptState.MIGRATED], report.pending) == ("failed", 3, 0)
        assert failures_of(report) == {f"there-{number}": "ServerDownError" for number in range(8)}
        assert "Connection refused" in report.failures[0].failure.message
        assert all(has_colour(tenant) for tenant in here)
        # Four workers found out, and one looked again now and then. The rest was not tried.
        assert [failed.attempts for failed in report.failures].count(0) >= 4

    def test_is_no_canary(self, fleet: Fleet, notes: NotesMigrations, other: ExtraServer, there: Server) -> None:
        fleet.make("there-one", server=there)
        fleet.make("here-one", "here-two")
        notes.add("0002_colour", ADD_COLOUR)
        other.end()
        report = roll_out(canary=Canary(number=1))
        assert (report.counts[AttemptState.MIGRATED], failures_of(report)) == (2, {"there-one": "ServerDownError"})

    def test_is_left_alone_when_it_dies_in_the_middle(
        self, fleet: Fleet, notes: NotesMigrations, other: ExtraServer, there: Server
    ) -> None:
        here = fleet.make("here-one", "here-two")
        fleet.make("there-one", "there-two", "there-three", server=there)
        notes.add("0002_colour", ADD_COLOUR)
        report = roll_out(After(1, lambda: other.end(signal.SIGQUIT)), workers=1)
        assert all(has_colour(tenant) for tenant in here)
        assert set(failures_of(report).values()) == {"ServerDownError"}
        assert report.pending == 0

    def test_is_waited_for_while_it_starts_again(
        self, fleet: Fleet, notes: NotesMigrations, other: ExtraServer, there: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(budget, "PATIENCE", timedelta(seconds=30))
        tenants = fleet.make("there-one", "there-two", server=there)
        notes.add("0002_colour", ADD_COLOUR)
        starting = threading.Timer(1, other.start)

        def die_and_start_again() -> None:
            other.end(signal.SIGQUIT)
            starting.start()

        report = roll_out(After(1, die_and_start_again), workers=1)
        starting.join()
        assert (report.state, report.counts[AttemptState.MIGRATED]) == ("succeeded", 2)
        assert all(has_colour(tenant) for tenant in tenants)


class AServerThatHangs:
    """Case 10: its postmaster is stopped, so the kernel takes connections and nobody answers."""

    def test_holds_no_other_up(
        self, fleet: Fleet, notes: NotesMigrations, other: ExtraServer, there: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(budget, "PATIENCE", timedelta(0))  # Each try takes long enough.
        here = fleet.make("here-one", "here-two")
        fleet.make("there-one", "there-two", server=there)
        notes.add("0002_colour", ADD_COLOUR)
        began = time.monotonic()
        with other.frozen():
            report = roll_out()
        assert time.monotonic() - began < 30
        assert all(has_colour(tenant) for tenant in here)
        assert failures_of(report) == {"there-one": "ServerDownError", "there-two": "ServerDownError"}


class AServerThatIsCrowded:
    """Case 11: fewer workers there, and then it goes on."""

    @contextmanager
    def room_for(self, sessions: int, other: ExtraServer) -> Iterator[None]:
        other.run(f"ALTER ROLE silo CONNECTION LIMIT {sessions}")
        try:
            yield
        finally:
            other.run("ALTER ROLE silo CONNECTION LIMIT -1")

    def test_has_all_its_tenants_migrated(
        self, fleet: Fleet, notes: NotesMigrations, other: ExtraServer, there: Server
    ) -> None:
        fleet.make(*[f"there-{number}" for number in range(8)], server=there)
        notes.add("0002_colour", ADD_COLOUR, 'migrations.RunSQL("SELECT pg_sleep(0.1)")')
        # The template has two sessions, the one to its server and the one inside.
        with self.room_for(2, other):
            report = roll_out(workers=6)
        assert (report.state, report.counts[AttemptState.MIGRATED]) == ("succeeded", 8)

    def test_has_its_template_sealed_when_there_is_room_again(
        self, fleet: Fleet, notes: NotesMigrations, other: ExtraServer, there: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The last session of the template's migrations has ended; the one that seals it is refused for a while."""
        fleet.make("there-one", server=there)
        notes.add("0002_colour", ADD_COLOUR)
        refused, ask = threading.Event(), refusal.refusal_of

        def crowd(using: str, **_: Any) -> None:
            if Template.objects.filter(name=using, server=there).exists():
                post_migrate.disconnect(crowd)
                other.run("ALTER ROLE silo CONNECTION LIMIT 1")

        def ask_and_make_room(parameters: dict[str, Any]) -> tuple[bool, str | None]:
            answer = ask(parameters)
            if answer[0]:
                refused.set()
                other.run("ALTER ROLE silo CONNECTION LIMIT -1")
            return answer

        monkeypatch.setattr(refusal, "refusal_of", ask_and_make_room)
        post_migrate.connect(crowd)
        with self.room_for(-1, other):
            report = roll_out()
        assert refused.is_set()
        assert (report.state, report.counts[AttemptState.MIGRATED]) == ("succeeded", 1)

    def test_leaves_the_workers_that_it_has_no_room_for_to_the_others(
        self, fleet: Fleet, notes: NotesMigrations, other: ExtraServer, there: Server
    ) -> None:
        here = fleet.make(*[f"here-{number}" for number in range(4)])
        held, *others = fleet.make("there-one", "there-two", "there-three", server=there)
        selection = Selection(slugs=tuple(tenant.slug for tenant in (*here, held, *others)))
        notes.add("0002_slow", "migrations.RunPython(forwards)", before=WAITS_AT_THE_GATE)
        here_is_done = threading.Event()

        def in_a_thread() -> Report:
            try:
                return roll_out(After(4, here_is_done.set), workers=2, selection=selection)
            finally:
                connections.close_all()

        # Room for the gate's session and for the one that waits there.
        with ThreadPoolExecutor(1) as pool, closed_gate(held), self.room_for(2, other):
            rollout = pool.submit(in_a_thread)
            assert here_is_done.wait(10)
        report = rollout.result()
        assert (report.state, report.counts[AttemptState.MIGRATED]) == ("succeeded", 7)


class ADiskThatIsFull:
    """Case 13: PostgreSQL's own error, raised by a trigger, since no test can fill a disk everywhere."""

    def test_fails_that_tenant_and_leaves_its_server_alone(
        self, fleet: Fleet, notes: NotesMigrations, there: Server
    ) -> None:
        here = fleet.make("here-one", "here-two", "here-three")
        full, untouched = fleet.make("there-one", "there-two", server=there)
        notes.add("0002_colour", ADD_COLOUR)
        with fault_at_ddl(full, 1, sqlstate="53100"):
            report = roll_out(workers=1)
        assert failures_of(report) == {"there-one": "OperationalError", "there-two": "DiskFullError"}
        assert {failed.failure.sqlstate for failed in report.failures} == {"53100"}
        assert [has_colour(tenant) for tenant in (*here, full, untouched)] == [True, True, True, False, False]


class AServerWhoseAccessRulesSiloDoesNotWrite:
    def test_has_what_is_open_to_all_found_by_logging_in(self, other: ExtraServer, there: Server, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first", server=there)
        with other.with_access(PG_HBA.replace("sameuser", "all")):
            assert audit([tenant], whole=False, fix=False, workers=1).left == ()
            other.run("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
            left = audit([tenant], whole=False, fix=True, workers=1).left
            other.run("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
        said = {(one.subject, one.problem): one.by_hand for one in left}
        open_to_all = "postgres", "every role of the server may connect to it"
        assert set(said) == {("first", "its role can log in to postgres"), open_to_all}
        assert "REVOKE ALL ON DATABASE postgres FROM PUBLIC" in said[open_to_all]
