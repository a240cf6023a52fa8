"""Rollouts that are told to stop, by SIGTERM or Ctrl-C: case 24 of the design's list."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tenants.models import Rollout, Tenant
from tests.acceptance.test_rollouts import applied_to
from tests.support.faults import WAITS_AT_THE_GATE, closed_gate
from tests.support.fleet import Fleet, on_server
from tests.support.migrations import ADD_COLOUR, ADD_INDEXED, NotesMigrations
from tests.support.waiting import wait_until

ROLLOUT = ("manage.py", "migrate_tenants", "--workers", "1", "--format", "json")
AT_WORK = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'silo rollout %%' AND query LIKE %s"


@pytest.fixture
def tenants(fleet: Fleet) -> list[Tenant]:
    return fleet.make("first", "second", "third")


class SIGTERM:
    def test_lets_the_migration_in_hand_end_and_exits_143(
        self, fleet: Fleet, notes: NotesMigrations, tenants: list[Tenant]
    ) -> None:
        notes.add("0002_slow", ADD_COLOUR, "migrations.RunPython(forwards)", before=WAITS_AT_THE_GATE)
        with closed_gate(tenants[0]) as wait_until_reached:
            process = fleet.start(*ROLLOUT)
            wait_until_reached()
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 143, err
        assert '"state": "interrupted"' in out
        assert [len(applied_to(tenant)) for tenant in tenants] == [2, 1, 1]
        assert Rollout.objects.get().state == Rollout.State.INTERRUPTED
        assert fleet.migrate()["tenants"]["migrated"] == 2

    def test_leaves_the_migrations_after_it_for_the_next_rollout(
        self, fleet: Fleet, notes: NotesMigrations, tenants: list[Tenant]
    ) -> None:
        notes.add("0002_slow", ADD_COLOUR, "migrations.RunPython(forwards)", before=WAITS_AT_THE_GATE)
        notes.add("0003_rank", ADD_INDEXED)
        with closed_gate(tenants[0]) as wait_until_reached:
            process = fleet.start(*ROLLOUT)
            wait_until_reached()
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, '"pending": 3' in out) == (143, True), err
        assert [len(applied_to(tenant)) for tenant in tenants] == [2, 1, 1]
        assert Rollout.objects.get().attempts.get().applied == ["notes.0002_slow"]
        assert fleet.migrate()["tenants"]["migrated"] == 3

    def test_stops_between_the_migrations_of_the_template(
        self, fleet: Fleet, notes: NotesMigrations, tenants: list[Tenant], tmp_path: Path
    ) -> None:
        waits = f"""
            import pathlib, time
            place = pathlib.Path({str(tmp_path)!r})
            def wait(apps, schema_editor):
                (place / "reached").touch()
                while not (place / "open").exists():
                    time.sleep(0.01)
            def go_on(apps, schema_editor):
                (place / "went on").touch()
        """
        notes.add("0002_wait", "migrations.RunPython(wait)", before=waits)
        notes.add("0003_next", "migrations.RunPython(go_on)", before=waits)
        process = fleet.start(*ROLLOUT)
        wait_until((tmp_path / "reached").exists)
        process.send_signal(signal.SIGTERM)
        (tmp_path / "open").touch()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 143, err
        assert not (tmp_path / "went on").exists()
        assert [len(applied_to(tenant)) for tenant in tenants] == [1, 1, 1]


class ASecondSignal:
    """SIGTERM and then SIGINT: two of one kind, sent at once, may arrive as one."""

    def test_cancels_the_migration_in_hand(self, fleet: Fleet, notes: NotesMigrations, tenants: list[Tenant]) -> None:
        notes.add("0002_slow", ADD_COLOUR, "migrations.RunPython(forwards)", before=WAITS_AT_THE_GATE)
        with closed_gate(tenants[0]) as wait_until_reached:
            process = fleet.start(*ROLLOUT)
            wait_until_reached()
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        assert process.returncode == 143, err
        assert '"pending": 3' in out
        assert [len(applied_to(tenant)) for tenant in tenants] == [1, 1, 1]
        assert Rollout.objects.get().state == Rollout.State.INTERRUPTED

    def test_cancels_a_statement_of_the_template(
        self, fleet: Fleet, notes: NotesMigrations, tenants: list[Tenant]
    ) -> None:
        notes.add("0002_long", 'migrations.RunSQL("SELECT pg_sleep(60)")')
        process = fleet.start(*ROLLOUT)
        wait_until(lambda: on_server(AT_WORK, "%pg_sleep%"))
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, '"failures": []' in out) == (143, True), err
