"""The sessions of a process with tenants' databases: how many, whose, in which state, and who gets them back."""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg2
import pytest
from asgiref.sync import async_to_sync
from django.db import InterfaceError, ProgrammingError, connections
from django.test import AsyncClient, override_settings

from tenants.context import required_alias, tenant_atomic, use_tenant
from tenants.databases.sessions import maintenance, owner_session
from tenants.errors import ConnectionsInUseError, ForeignDatabaseError
from tenants.models import Tenant
from tenants.routing import connections as connections_of_tenants
from tenants.routing import session as sessions
from tenants.routing.connections import databases
from tenants.routing.pool import SessionPool, process_pool
from tests.apps.notes.models import Note
from tests.support.fleet import as_owner
from tests.support.pools import ROOMY, PoolOfTest, end_sessions_of, sessions_of
from tests.support.waiting import wait_until

Pools = Callable[..., PoolOfTest]


@pytest.fixture(autouse=True)
def _nothing_pooled(acme: Tenant, globex: Tenant) -> Iterator[None]:
    """Each test sees only what it opened. Pinned, as fixtures pin them, connections would be kept for the next one."""
    for tenant in (acme, globex):
        databases().unpin(tenant.alias)
        process_pool().empty(tenant.alias)
    yield
    for tenant in (acme, globex):
        process_pool().empty(tenant.alias)


@pytest.fixture
def pool_with(acme: Tenant, globex: Tenant) -> Iterator[Pools]:
    """Makes pools with these limits, and roomy ones otherwise."""
    made: list[PoolOfTest] = []

    def make(**limits: Any) -> PoolOfTest:
        made.append(PoolOfTest(SessionPool(replace(ROOMY, **limits))))
        return made[-1]

    yield make
    for mine in made:
        mine.pool.empty(acme.alias)
        mine.pool.empty(globex.alias)


def backend_pid() -> int:
    """Of the session that serves the current tenant."""
    Note.objects.exists()
    return connections[required_alias()].connection.get_backend_pid()


class ASession:
    def test_is_used_again(self, acme: Tenant) -> None:
        with use_tenant(acme):
            first = backend_pid()
        with use_tenant(acme):
            assert backend_pid() == first

    def test_is_used_again_by_another_thread(self, acme: Tenant) -> None:
        def pid() -> int:
            with use_tenant(acme):
                return backend_pid()

        here = pid()
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(pid).result() == here

    def test_is_given_back_when_the_tenant_is_left(self, acme: Tenant) -> None:
        with use_tenant(acme):
            Note.objects.exists()
            assert process_pool().numbers()["in_use"] == 1
        assert process_pool().numbers()["in_use"] == 0

    def test_is_given_back_by_a_loop_over_tenants(self, acme: Tenant, globex: Tenant) -> None:
        for tenant in (acme, globex, acme):
            with use_tenant(tenant):
                Note.objects.exists()
                assert process_pool().numbers()["in_use"] == 1

    def test_stays_while_a_transaction_is_open(self, acme: Tenant) -> None:
        with use_tenant(acme):
            atomic = tenant_atomic()
            atomic.__enter__()
            pid = backend_pid()
        assert process_pool().numbers()["in_use"] == 1
        with use_tenant(acme):
            assert backend_pid() == pid
            atomic.__exit__(None, None, None)
        assert process_pool().numbers()["in_use"] == 0

    def test_of_the_owner_is_not_pooled(self, acme: Tenant) -> None:
        with owner_session(acme) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert process_pool().numbers() == {"in_use": 0, "idle": 0, "waiting": 0}


class WhatIsGivenBack:
    def test_has_lost_its_settings_tables_and_locks(self, acme: Tenant) -> None:
        with use_tenant(acme), connections[acme.alias].cursor() as cursor:
            cursor.execute("SET statement_timeout = '7s'; CREATE TEMPORARY TABLE left_behind (id int)")
            cursor.execute("SELECT pg_advisory_lock(1)")
        with use_tenant(acme), connections[acme.alias].cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)
            cursor.execute("SELECT to_regclass('pg_temp.left_behind'), (SELECT count(*) FROM pg_locks WHERE objid = 1)")
            assert cursor.fetchone() == (None, 0)
            cursor.execute("SHOW TimeZone")
            assert cursor.fetchone() == ("UTC",)

    def test_in_a_transaction_is_rolled_back_closed_and_reported(
        self, acme: Tenant, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "tenants.routing"), use_tenant(acme):
            connections[acme.alias].set_autocommit(False)
            Note.objects.create(text="never committed")
        assert "A transaction was left open" in caplog.text
        assert process_pool().numbers()["idle"] == 0
        with use_tenant(acme):
            assert not Note.objects.exists()

    def test_with_another_isolation_level_is_closed(self, acme: Tenant) -> None:
        with use_tenant(acme):
            first = backend_pid()
            connections[acme.alias].connection.readonly = True
        with use_tenant(acme):
            assert backend_pid() != first
            Note.objects.create(text="can be written")

    def test_closed_inside_atomic_is_closed_and_the_block_cannot_go_on(self, acme: Tenant) -> None:
        def close_within() -> None:
            with tenant_atomic():
                Note.objects.create(text="never committed")
                connections[acme.alias].close()
                Note.objects.exists()

        with use_tenant(acme):
            with pytest.raises(ProgrammingError, match="atomic block"):
                close_within()
            assert process_pool().numbers() == {"in_use": 0, "idle": 0, "waiting": 0}
            assert not Note.objects.exists()

    def test_is_out_of_reach_of_a_cursor_that_was_kept(self, acme: Tenant) -> None:
        with use_tenant(acme):
            kept = connections[acme.alias].cursor()
            kept.execute("SELECT 1")
        with pytest.raises(InterfaceError):
            kept.execute("SELECT 'what the next one does'")

    def test_is_out_of_reach_of_rows_that_are_still_being_fetched(self, acme: Tenant) -> None:
        with use_tenant(acme):
            Note.objects.bulk_create([Note(text=str(number)) for number in range(9)])
            rows = Note.objects.order_by("pk").iterator(chunk_size=2)
            next(rows)
        with use_tenant(acme):
            # The same name, on the same session, is a cursor of somebody else's now.
            others = Note.objects.order_by("-pk").iterator(chunk_size=2)
            next(others)
            with pytest.raises(InterfaceError):
                list(rows)

    def test_is_not_used_where_the_server_could_not_reset_it(
        self, acme: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with use_tenant(acme):
            first = backend_pid()
            monkeypatch.setattr(sessions, "UNDO", b"DISCARD NO_SUCH_THING")
        monkeypatch.undo()
        with use_tenant(acme):
            assert backend_pid() != first
        assert process_pool().numbers() == {"in_use": 0, "idle": 1, "waiting": 0}


class AConnectionObject:
    """Django's, of one thread."""

    def test_is_used_again_and_not_walked_meanwhile(self, acme: Tenant) -> None:
        with use_tenant(acme):
            Note.objects.exists()
            first = connections[acme.alias]
        assert list(connections) == ["default"]
        with use_tenant(acme):
            assert connections[acme.alias] is first
            assert Note.objects.count() == 0

    def test_is_not_used_again_where_something_was_done_to_it(self, acme: Tenant) -> None:
        with use_tenant(acme):
            first = connections[acme.alias]
            first.execute_wrappers.append(lambda execute, *args: execute(*args))
        with use_tenant(acme):
            assert connections[acme.alias] is not first

    @override_settings(TENANT_POOL_SIZE=1)
    def test_is_kept_for_no_more_tenants_than_there_may_be_sessions(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            first = connections[acme.alias]
        with use_tenant(globex):
            assert connections[globex.alias].alias == globex.alias
        with use_tenant(acme):
            assert connections[acme.alias] is not first


class AnIdleSession:
    def test_that_the_server_has_ended_is_not_used(self, acme: Tenant) -> None:
        with use_tenant(acme):
            first = backend_pid()
        end_sessions_of(acme)
        with use_tenant(acme):
            assert backend_pid() != first

    def test_is_asked_after_a_while_whether_it_lives(
        self, pool_with: Pools, acme: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine = pool_with()
        mine.use(acme)
        end_sessions_of(acme)
        monkeypatch.setattr(sessions, "_has_something_to_read", lambda _: False)  # the network lost the server's word
        monkeypatch.setattr(sessions, "PROBE_AFTER_S", 0)
        session = mine.take(acme)
        assert (mine.pool.counts.found_dead, mine.pool.counts.opened) == (1, 2)
        mine.pool.give(session)

    def test_is_closed_in_time_though_nobody_comes(self, pool_with: Pools, acme: Tenant) -> None:
        mine = pool_with(idle_age_s=0.2)
        mine.use(acme)
        wait_until(lambda: sessions_of(acme) == 0)
        assert mine.pool.numbers()["idle"] == 0

    def test_gives_way_to_another_tenant_the_longest_idle_first(
        self, pool_with: Pools, acme: Tenant, globex: Tenant
    ) -> None:
        mine = pool_with(size=3)
        longest, latest, held = mine.take(acme), mine.take(acme), mine.take(globex)
        mine.pool.give(longest)
        mine.pool.give(latest)
        also_held = mine.take(globex)
        assert mine.pool.counts.evicted == 1
        assert (sessions_of(acme), sessions_of(globex)) == (1, 2)
        assert mine.take(acme) is latest
        for session in (held, also_held, latest):
            mine.pool.give(session)

    def test_is_not_used_with_other_settings_than_it_was_opened_with(self, pool_with: Pools, acme: Tenant) -> None:
        mine = pool_with(size=1)
        mine.use(acme)
        moved = mine.take(acme, application_name="silo, at another address")
        assert mine.pool.counts.opened == 2
        assert sessions_of(acme) == 1
        mine.pool.give(moved)


class AClosedSession:
    def test_is_gone_from_the_server(self, pool_with: Pools, acme: Tenant) -> None:
        mine = pool_with()
        session = mine.take(acme)
        with session.connection, session.connection.cursor() as cursor:
            # All of which the server's process has to drop before it ends.
            cursor.execute(
                "DO 'BEGIN FOR n IN 1..300 LOOP EXECUTE ''CREATE TEMP TABLE t'' || n || ''()''; END LOOP; END'"
            )
        mine.pool.empty(acme.alias)
        with maintenance(acme.server) as cursor:
            assert sessions_of(acme, cursor=cursor) == 1
            mine.pool.give(session)
            assert sessions_of(acme, cursor=cursor) == 0


class Limits:
    def test_are_waited_at_and_then_said(self, pool_with: Pools, acme: Tenant) -> None:
        mine = pool_with(size=1, wait_s=0.05)
        held = mine.take(acme)
        with pytest.raises(ConnectionsInUseError, match="none was free"):
            mine.take(acme)
        assert (mine.pool.counts.timed_out, mine.pool.numbers()["waiting"]) == (1, 0)
        mine.pool.give(held)
        mine.use(acme)

    def test_of_one_tenant_leave_room_for_another(self, pool_with: Pools, acme: Tenant, globex: Tenant) -> None:
        mine = pool_with(size=2, per_tenant=1, wait_s=0.05)
        held = mine.take(acme)
        with pytest.raises(ConnectionsInUseError):
            mine.take(acme)
        mine.use(globex)
        mine.pool.give(held)

    def test_are_free_again_after_a_connection_that_failed(self, pool_with: Pools, acme: Tenant) -> None:
        mine = pool_with(size=1, wait_s=0.05)
        with pytest.raises(psycopg2.OperationalError):
            mine.take(acme, password="wrong")
        mine.use(acme)

    def test_are_kept_to_in_the_order_of_arrival(self, pool_with: Pools, acme: Tenant, globex: Tenant) -> None:
        mine = pool_with(size=1)
        held = mine.take(acme)
        served: list[str] = []

        def come(tenant: Tenant, waiting: int) -> threading.Thread:
            def take() -> None:
                session = mine.take(tenant)
                served.append(tenant.slug)
                mine.pool.give(session)

            thread = threading.Thread(target=take)
            thread.start()
            wait_until(lambda: mine.pool.numbers()["waiting"] == waiting)
            return thread

        threads = [come(globex, 1), come(acme, 2)]
        mine.pool.give(held)
        for thread in threads:
            thread.join()
        assert served == ["globex", "acme"]


class AThreadThatDies:
    def test_gives_back_what_it_had(self, pool_with: Pools, acme: Tenant) -> None:
        mine = pool_with(size=1)
        thread = threading.Thread(target=mine.take, args=[acme])
        thread.start()
        thread.join()
        mine.use(acme)
        assert (mine.pool.counts.opened, sessions_of(acme)) == (2, 1)

    def test_gives_back_what_its_django_connection_had(self, acme: Tenant) -> None:
        def die_inside() -> None:
            connections[acme.alias].ensure_connection()

        thread = threading.Thread(target=die_inside)
        thread.start()
        thread.join()
        wait_until(lambda: sessions_of(acme) == 0)
        assert process_pool().numbers()["in_use"] == 0


class AConnectionThatIsDroppedUnclosed:
    def test_gives_back_what_it_had_though_its_thread_lives(self, acme: Tenant) -> None:
        with use_tenant(acme):
            Note.objects.exists()
            del connections[acme.alias]
            gc.collect()  # Django's connections are in cycles
            assert (sessions_of(acme), process_pool().numbers()["in_use"]) == (0, 0)
            Note.objects.exists()
            assert process_pool().numbers()["in_use"] == 1
        assert process_pool().numbers() == {"in_use": 0, "idle": 1, "waiting": 0}

    def test_that_was_closed_before_takes_nothing_from_the_next_one(self, acme: Tenant) -> None:
        with use_tenant(acme):
            first = backend_pid()
        gc.collect()
        with use_tenant(acme):
            assert backend_pid() == first


class AForkedChild:
    def test_uses_sessions_of_its_own_and_closes_none_of_its_parents(self, acme: Tenant) -> None:
        with use_tenant(acme), tenant_atomic():
            Note.objects.create(text="of the parent, not yet committed")
            read, write = os.pipe()
            child = os.fork()
            if not child:
                self._look_and_exit(acme, write)
            os.close(write)
            with os.fdopen(read) as pipe:
                seen = json.loads(pipe.read())
            os.waitpid(child, 0)
            assert seen["pid"] != backend_pid()
            assert seen["numbers"] == {"in_use": 0, "idle": 0, "waiting": 0}
            assert (seen["notes"], seen["error"]) == (0, "ProgrammingError")
            assert Note.objects.count() == 1

    @staticmethod
    def _look_and_exit(acme: Tenant, write: int) -> None:
        """In the child. pytest must not go on in it."""
        seen: dict[str, object] = {"numbers": process_pool().numbers()}
        try:
            try:
                Note.objects.exists()  # the parent's transaction is not the child's
            except Exception as error:
                seen["error"] = type(error).__name__
            connections[acme.alias].in_atomic_block = False
            process_pool().empty(acme.alias)
            seen |= {"pid": backend_pid(), "notes": Note.objects.count()}
            connections[acme.alias].close()
        finally:
            os.write(write, json.dumps(seen).encode())
            os._exit(0)


class ASuspendedTenant:
    def test_closes_what_is_in_use_when_it_is_given_back(self, pool_with: Pools, acme: Tenant) -> None:
        mine = pool_with()
        held = mine.take(acme)
        mine.pool.empty(acme.alias)
        mine.pool.give(held)
        assert (mine.pool.numbers()["idle"], sessions_of(acme)) == (0, 0)


class ADatabaseOfAnotherTenant:
    @pytest.fixture
    def swapped(self, acme: Tenant, globex: Tenant) -> Iterator[None]:
        as_owner(acme, "UPDATE silo.facts SET value = %s WHERE name = 'tenant'", str(globex.id))
        yield
        as_owner(acme, "UPDATE silo.facts SET value = %s WHERE name = 'tenant'", str(acme.id))

    def test_is_not_served(self, acme: Tenant, swapped: None, caplog: pytest.LogCaptureFixture) -> None:
        with use_tenant(acme), pytest.raises(ForeignDatabaseError):
            Note.objects.exists()
        assert "it is not served" in caplog.text
        assert (sessions_of(acme), process_pool().numbers()["in_use"]) == (0, 0)

    def test_is_503_in_the_api(self, acme: Tenant, swapped: None, alice, as_user) -> None:
        reply = as_user(alice).get("/api/v1/tenants/acme/documents/")
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "30")

    def test_that_says_of_no_tenant_whose_it_is_is_not_served(self, acme: Tenant) -> None:
        as_owner(acme, "ALTER TABLE silo.facts RENAME TO elsewhere")
        try:
            with use_tenant(acme), pytest.raises(ForeignDatabaseError):
                Note.objects.exists()
        finally:
            as_owner(acme, "ALTER TABLE silo.elsewhere RENAME TO facts")


class AFullPool:
    @pytest.fixture(autouse=True)
    def _of_one_session(self) -> Iterator[None]:
        process_pool.cache_clear()
        with override_settings(TENANT_POOL_SIZE=1, TENANT_POOL_WAIT=0):
            yield
        process_pool.cache_clear()

    def test_is_503_in_the_api_and_says_when_to_come_back(self, acme, alice, as_user) -> None:
        client = as_user(alice)
        is_held, may_go = threading.Event(), threading.Event()

        def hold() -> None:
            with use_tenant(acme):
                Note.objects.exists()
                is_held.set()
                may_go.wait()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(hold)
            is_held.wait()
            try:
                reply = client.get("/api/v1/tenants/acme/documents/")
            finally:
                may_go.set()  # or the thread, and so this test, would never end
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
        assert client.get("/api/v1/tenants/acme/documents/").status_code == 200


class AnAsyncRequest:
    def test_gives_back_what_it_had(self, acme, alice, as_user) -> None:
        token = as_user(alice)._credentials["HTTP_AUTHORIZATION"]

        async def ask() -> int:
            reply = await AsyncClient().get("/api/v1/tenants/acme/documents/", headers={"Authorization": token})
            return reply.status_code

        assert async_to_sync(ask)() == 200
        assert process_pool().numbers() == {"in_use": 0, "idle": 1, "waiting": 0}


class SettingsOfATenant:
    def test_are_forgotten_when_nobody_uses_them(
        self, acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections_of_tenants, "MOST_KEPT", 1)
        connections_of_tenants._laid_by.of.clear()
        of_acme = weakref.ref(databases()[acme.alias])
        databases().remember(globex)
        gc.collect()  # Django's connections are in cycles
        assert of_acme() is None

    def test_are_the_same_as_long_as_a_connection_uses_them(
        self, acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections_of_tenants, "MOST_KEPT", 1)
        with use_tenant(acme):
            in_use = connections[acme.alias].settings_dict
            databases().remember(globex)
            assert databases()[acme.alias] is in_use
