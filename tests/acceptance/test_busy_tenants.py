"""Tenants in use while they are migrated: case 8 of the design's list."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg2
import pytest

from tenants.databases.sessions import SessionLimits
from tenants.models import Tenant
from tenants.models.rollout import AttemptState
from tenants.rollout.outcome import Outcome
from tenants.rollout.request import Request
from tenants.rollout.runner import run_rollout
from tenants.rollout.target import latest
from tenants.rollout.watcher import Silent
from tenants.rollout.worker import WorkOptions
from tenants.routing.connections import address_of
from tests.support.fleet import Fleet
from tests.support.migrations import ADD_COLOUR, NotesMigrations

IMPATIENT = WorkOptions(limits=SessionLimits(lock_timeout=timedelta(seconds=0.5)))


@contextmanager
def session_in(tenant: Tenant) -> Iterator[psycopg2.extensions.cursor]:
    host, port = address_of(tenant.server)
    options = "-c search_path=public -c statement_timeout=6s"
    session = psycopg2.connect(host=host, port=port, user="silo", dbname=tenant.alias, options=options)
    try:
        with session.cursor() as cursor:
            yield cursor
    finally:
        session.close()


@contextmanager
def long_transaction(tenant: Tenant) -> Iterator[threading.Event]:
    """Somebody has read a table and goes on; until the event is set."""
    ended = threading.Event()

    def commit_when_told() -> None:
        ended.wait(30)
        cursor.connection.commit()

    with session_in(tenant) as cursor:
        cursor.execute("SELECT count(*) FROM notes_note")
        waiter = threading.Thread(target=commit_when_told)
        waiter.start()
        try:
            yield ended
        finally:
            ended.set()
            waiter.join()


class Queries:
    """Somebody who reads a tenant's table again and again, and measures the longest wait; in a thread of its own."""

    def __init__(self, tenant: Tenant, waited: threading.Event) -> None:
        self.longest_s = 0.0
        self._tenant, self._waited, self._stop = tenant, waited, threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Queries:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        with session_in(self._tenant) as cursor:
            while not self._stop.is_set():
                began = time.monotonic()
                with suppress(psycopg2.errors.QueryCanceled):
                    cursor.execute("SELECT count(*) FROM notes_note")
                cursor.connection.rollback()
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                if self.longest_s > 0.2:
                    self._waited.set()  # It stood behind the migration, which stood behind the long transaction.


class Diary(Silent):
    def __init__(self, first: threading.Event) -> None:
        self.slugs: list[str] = []
        self._first = first

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None:
        assert tenant is not None
        self.slugs.append(tenant.slug)
        self._first.set()


@pytest.fixture
def tenants(fleet: Fleet, notes: NotesMigrations) -> list[Tenant]:
    made = fleet.make("busy", "idle")
    notes.add("0002_colour", ADD_COLOUR)
    return made


class ATenantInUse:
    def test_has_no_query_wait_longer_than_the_lock_timeout(self, tenants: list[Tenant]) -> None:
        with long_transaction(tenants[0]) as ended, Queries(tenants[0], waited=ended) as queries:
            report = run_rollout(Request(latest(), work=IMPATIENT))
        assert (report.state, report.counts[AttemptState.MIGRATED]) == ("succeeded", 2)
        assert 0.2 < queries.longest_s < 3

    def test_is_tried_again_when_the_others_have_had_their_turn(self, tenants: list[Tenant]) -> None:
        with long_transaction(tenants[0]) as ended:
            diary = Diary(first=ended)
            report = run_rollout(Request(latest(), workers=1, work=IMPATIENT), watcher=diary)
        assert (report.state, diary.slugs) == ("succeeded", ["idle", "busy"])
