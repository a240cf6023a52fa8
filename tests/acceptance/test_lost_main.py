"""Rollouts that lose the main database, or their session there: cases 19 and 21 of the design's list."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from django.db import connections

from platform_site import embedded
from tenants.models import Rollout, Tenant
from tenants.rollout import ledger, process
from tenants.rollout.ledger import ACTIVE_LOCK, LEASE_S, Ledger
from tests.acceptance.test_rollouts import COUNT_RUNS, DATA, applied_to
from tests.support.faults import WAITS_AT_THE_GATE, closed_gate
from tests.support.fleet import Fleet, as_owner, as_superuser
from tests.support.migrations import ADD_COLOUR, NotesMigrations
from tests.support.servers import HOST, ExtraServer, extra_server

ONE_AT_A_TIME = ("manage.py", "migrate_tenants", "--workers", "1", "--format", "json")


@pytest.fixture(scope="module")
def main() -> Iterator[ExtraServer]:
    """A server for a main database that may be killed."""
    with extra_server("main") as server:
        yield server


@pytest.fixture
def tenants(fleet: Fleet, notes: NotesMigrations) -> list[Tenant]:
    made = fleet.make("first", "second", "third")
    notes.add("0002_slow", ADD_COLOUR, "migrations.RunPython(forwards)", before=WAITS_AT_THE_GATE)
    return made


def copy_main_to(server: ExtraServer) -> None:
    """This test's main database as it stands, in which the tenants are where they were."""
    here = connections["default"].settings_dict
    server.run(f'CREATE DATABASE "{here["NAME"]}" OWNER silo')
    programs = embedded.programs()
    dump = subprocess.run(
        [programs / "pg_dump", "--no-owner", "--no-privileges", "-h", here["HOST"], "-U", "postgres", here["NAME"]],
        capture_output=True,
        check=True,
    ).stdout
    there = ["-h", HOST, "-p", str(server.port), "-U", "silo", "-d", here["NAME"]]
    subprocess.run([programs / "psql", "-Xq", *there], input=dump, capture_output=True, check=True)
    server.run(f"UPDATE tenants_server SET host = '{here['HOST']}' WHERE host = ''", database=here["NAME"])


def end_lock_session() -> None:
    name = connections["default"].settings_dict["NAME"]
    as_superuser(
        name,
        f"""SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database
            WHERE locktype = 'advisory' AND objid = {ACTIVE_LOCK} AND datname = '{name}'""",
    )


class ARolloutWhoseMainDatabaseDies:
    """Case 19."""

    def test_finishes_what_is_in_hand_and_is_gone_on_with(
        self, fleet: Fleet, tenants: list[Tenant], main: ExtraServer
    ) -> None:
        copy_main_to(main)
        fleet.environment["SILO_TEST_MAIN_PORT"] = str(main.port)
        with closed_gate(tenants[0]) as wait_until_reached:
            process = fleet.start(*ONE_AT_A_TIME)
            wait_until_reached()
            main.end(signal.SIGQUIT)
        out, err = process.communicate(timeout=60)
        main.start()
        assert process.returncode == 1
        assert '"state": "interrupted"' in out
        assert "The main database was lost" in err
        assert "Traceback" not in err
        assert [len(applied_to(tenant)) for tenant in tenants] == [2, 1, 1]
        found = fleet.migrate_json("--resume")
        assert (found["exit"], found["tenants"]["up_to_date"], found["tenants"]["migrated"]) == (0, 1, 2)


class ARolloutWhoseLockIsLost:
    def test_begins_no_more_tenants(self, fleet: Fleet, tenants: list[Tenant]) -> None:
        with closed_gate(tenants[0]) as wait_until_reached:
            process = fleet.start(*ONE_AT_A_TIME)
            wait_until_reached()
            end_lock_session()
        out, err = process.communicate(timeout=60)
        assert (process.returncode, '"state": "interrupted"' in out) == (1, True), err
        assert [len(applied_to(tenant)) for tenant in tenants] == [2, 1, 1]
        assert Rollout.objects.get().state == Rollout.State.INTERRUPTED

    def test_is_not_taken_for_dead_before_it_has_noticed(self, fleet: Fleet) -> None:
        Rollout.objects.create(target="latest", process="elsewhere process 1")
        began = time.monotonic()
        Ledger.begin(target="latest", options={}).finish(Rollout.State.SUCCEEDED)
        assert time.monotonic() - began >= LEASE_S

    def test_is_waited_for_no_longer_than_it_runs(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        one = Rollout.objects.create(target="latest", process="elsewhere process 1")
        look = process.has_surely_ended

        def ends_just_then(title: str) -> bool:
            Rollout.objects.filter(pk=one.pk).update(state=Rollout.State.SUCCEEDED)
            return look(title)

        monkeypatch.setattr(process, "has_surely_ended", ends_just_then)
        monkeypatch.setattr(ledger, "LEASE_S", 20.0)
        began = time.monotonic()
        Ledger.begin(target="latest", options={}).finish(Rollout.State.SUCCEEDED)
        assert time.monotonic() - began < ledger.LEASE_S
        one.refresh_from_db()
        assert one.state == Rollout.State.SUCCEEDED

    def test_is_known_to_be_dead_where_its_process_is_gone(self, fleet: Fleet) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        Rollout.objects.create(target="latest", process=f"{os.uname().nodename} process {gone.pid}")
        began = time.monotonic()
        Ledger.begin(target="latest", options={}).finish(Rollout.State.SUCCEEDED)
        assert time.monotonic() - began < LEASE_S


class ARolloutWhoseOtherSessionInMainIsEnded:
    """Main lives, and so does the lock: an administrator, or a limit, has ended the session that reads and writes."""

    def test_ends_in_order(self, fleet: Fleet, tenants: list[Tenant]) -> None:
        with closed_gate(tenants[0]) as wait_until_reached:
            process = fleet.start(*ONE_AT_A_TIME, PGAPPNAME="under test")
            wait_until_reached()
            as_superuser(
                connections["default"].settings_dict["NAME"],
                f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = 'under test' AND datname = current_database()
                    AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {ACTIVE_LOCK})""",
            )
        out, err = process.communicate(timeout=60)
        assert (process.returncode, '"state": "interrupted"' in out, "Traceback" in err) == (1, True, False), err
        assert fleet.migrate("--resume")["exit"] == 0


class ARolloutThatWasStoppedForAnHour:
    """Case 21: its sessions were ended meanwhile, and another rollout did its work."""

    def test_changes_nothing_when_it_goes_on(self, fleet: Fleet, notes: NotesMigrations) -> None:
        tenants = fleet.make("first", "second", "third")
        gate_and_data = COUNT_RUNS + WAITS_AT_THE_GATE.replace("forwards", "wait")
        notes.add("0002_data", DATA, "migrations.RunPython(wait)", before=gate_and_data)
        with closed_gate(tenants[0]) as wait_until_reached:
            stopped = fleet.start(*ONE_AT_A_TIME)
            wait_until_reached()
            stopped.send_signal(signal.SIGSTOP)
            end_lock_session()
            as_owner(
                tenants[0],
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'silo rollout %%'",
            )
        assert fleet.migrate()["tenants"]["migrated"] == 3
        stopped.send_signal(signal.SIGCONT)
        _, err = stopped.communicate(timeout=60)
        assert (stopped.returncode, "Traceback" in err) == (1, False)
        for tenant in tenants:
            assert as_owner(tenant, "SELECT count(*) FROM notes_note") == [(1,)]
        assert sorted(Rollout.objects.values_list("state", flat=True)) == ["interrupted", "succeeded"]
