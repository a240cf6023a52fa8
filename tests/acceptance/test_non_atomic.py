"""Migrations with atomic = False, cut off anywhere: cases 2, 4 and 5 of the design's list."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from django.db import connections

from tenants.models import Tenant
from tenants.models.rollout import AttemptState
from tenants.rollout.program import Programs
from tenants.rollout.request import Request
from tenants.rollout.runner import run_rollout
from tenants.rollout.selection import Selection
from tenants.rollout.target import latest
from tenants.rollout.worker import bring, try_once
from tenants.routing.connections import address_of
from tests.acceptance.test_rollouts import applied_to, columns_of, roll_out, schema_of
from tests.support.faults import fault_at_ddl, gate_after_ddl
from tests.support.fleet import Fleet, as_owner
from tests.support.migrations import ADD_COLOUR, ADD_INDEXED, NotesMigrations

CONCURRENT = 'AddIndexConcurrently("note", models.Index(fields=["text"], name="note_text"))'
BY_HAND = (
    'migrations.RunSQL("CREATE INDEX CONCURRENTLY IF NOT EXISTS note_text ON notes_note (text)", '
    '"DROP INDEX CONCURRENTLY note_text")'
)
ADD_MORE = 'migrations.AddField("note", "more", models.TextField(default=""))'
NOT_ATOMIC = "atomic = False"
INDEX = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('note_text')"


class ANonAtomicMigration:
    @pytest.mark.parametrize("at", range(1, 6))
    def test_cut_off_at_any_statement_is_gone_on_with(self, fleet: Fleet, notes: NotesMigrations, at: int) -> None:
        cut, whole = fleet.make("first", "second")
        notes.add("0002_several", ADD_COLOUR, ADD_INDEXED, CONCURRENT, attributes=NOT_ATOMIC)
        with fault_at_ddl(cut, at):
            report = roll_out(on_error="continue")
        assert report.state == "succeeded", report.failures
        assert schema_of(cut) == schema_of(whole)
        assert applied_to(cut) == ["0001_initial", "0002_several"]
        assert as_owner(cut, "SELECT name FROM silo.facts ORDER BY 1") == [("rollout",), ("tenant",)]

    def test_is_taken_back_in_steps_too(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        start = schema_of(acme)
        notes.add("0002_several", ADD_COLOUR, CONCURRENT, attributes=NOT_ATOMIC)
        roll_out()
        assert as_owner(acme, INDEX) == [(True,)]
        with fault_at_ddl(acme, 1, tag="ALTER TABLE"):
            report = roll_out("notes", "0001")
        assert report.state == "succeeded", report.failures
        assert schema_of(acme) == start


class TurnedRoundHalfWay:
    """A run to the other side finishes what was cut off first; or half of it would stay, and nothing would tell."""

    @pytest.fixture
    def acme(self, fleet: Fleet, notes: NotesMigrations) -> Tenant:
        (acme,) = fleet.make("first")
        notes.add("0002_several", ADD_COLOUR, ADD_INDEXED, attributes=NOT_ATOMIC)
        notes.add("0003_more", ADD_MORE, CONCURRENT, attributes=NOT_ATOMIC)
        return acme

    def test_on_the_way_up_leaves_nothing_behind(self, fleet: Fleet, acme: Tenant) -> None:
        start = schema_of(acme)
        roll_out("notes", "0002")
        kill_after_ddl(fleet, acme, 3)
        assert "more" in columns_of(acme)
        assert fleet.migrate("notes", "0001")["exit"] == 0
        assert (schema_of(acme), applied_to(acme)) == (start, ["0001_initial"])
        assert as_owner(acme, "SELECT name FROM silo.facts ORDER BY 1") == [("rollout",), ("tenant",)]

    def test_on_the_way_down_lacks_nothing(self, fleet: Fleet, acme: Tenant) -> None:
        roll_out()
        top = schema_of(acme)
        kill_after_ddl(fleet, acme, 1, "notes", "0002")
        assert as_owner(acme, INDEX) == []
        assert fleet.migrate()["exit"] == 0
        assert (schema_of(acme), applied_to(acme)) == (top, ["0001_initial", "0002_several", "0003_more"])
        assert as_owner(acme, "SELECT name FROM silo.facts ORDER BY 1") == [("rollout",), ("tenant",)]

    def test_is_behind_to_those_who_ask(self, fleet: Fleet, acme: Tenant) -> None:
        roll_out()
        kill_after_ddl(fleet, acme, 1, "notes", "0002")
        assert fleet.call("migrate_tenants", "--check").returncode == 1

    def test_is_named_where_the_code_has_lost_the_migration(
        self, fleet: Fleet, acme: Tenant, notes: NotesMigrations
    ) -> None:
        kill_after_ddl(fleet, acme, 8)
        assert applied_to(acme) == ["0001_initial", "0002_several"]
        (notes.folder / "0003_more.py").unlink()
        (failure,) = fleet.migrate_json()["failures"]
        assert (failure["error"], "notes.0003_more" in failure["message"]) == ("UnknownMigrationsError", True)


def kill_after_ddl(fleet: Fleet, tenant: Tenant, at: int, *arguments: str) -> None:
    """Start a rollout, and kill it when its ``at``-th DDL statement in this tenant is done and not committed."""
    with gate_after_ddl(tenant, at) as wait_until_reached:
        process = fleet.start("manage.py", "migrate_tenants", *arguments)
        wait_until_reached()
        process.kill()
        process.communicate(timeout=60)


class RewrittenAsAtomic:
    def test_is_not_taken_for_cut_off_any_more(self, fleet: Fleet, notes: NotesMigrations) -> None:
        """Its note once outlived it: the tenant was up to date for ever, whatever came after."""
        (acme,) = fleet.make("first")
        add = 'migrations.RunSQL("ALTER TABLE notes_note ADD COLUMN IF NOT EXISTS colour text")'
        notes.add("0002_several", add, 'migrations.RunSQL("SELECT 1/0")', attributes=NOT_ATOMIC)
        assert fleet.migrate_json("--tenant", "first")["tenants"]["failed"] == 1
        written = notes.folder / "0002_several.py"
        written.write_text(written.read_text().replace(NOT_ATOMIC, "").replace("1/0", "1"))
        notes.add("0003_more", ADD_MORE)
        assert fleet.migrate_json("--tenant", "first")["tenants"]["migrated"] == 1
        assert applied_to(acme) == ["0001_initial", "0002_several", "0003_more"]
        assert as_owner(acme, "SELECT name FROM silo.facts ORDER BY 1") == [("rollout",), ("tenant",)]


class FinishedByHand:
    def test_is_not_taken_for_cut_off_any_more(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_several", ADD_COLOUR, 'migrations.RunSQL("SELECT 1/0")', attributes=NOT_ATOMIC)
        assert roll_out(selection=Selection(slugs=("first",))).failures
        as_owner(acme, "INSERT INTO django_migrations (app, name, applied) VALUES ('notes', '0002_several', now())")
        notes.add("0003_more", ADD_MORE)
        assert not roll_out(selection=Selection(slugs=("first",))).failures
        assert "more" in columns_of(acme)


class AnIndexThatFailed:
    """Case 4: an INVALID index is dropped and made again, also where the SQL says IF NOT EXISTS."""

    @pytest.mark.parametrize("operation", [CONCURRENT, BY_HAND], ids=["operation", "sql"])
    def test_is_made_again(self, fleet: Fleet, notes: NotesMigrations, operation: str) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_index", operation, attributes=NOT_ATOMIC)
        host, port = address_of(acme.server)
        writer = psycopg2.connect(host=host, port=port, user="silo", dbname=acme.alias, options="-c search_path=public")
        with writer.cursor() as cursor:
            # An open transaction that has written is what CREATE INDEX CONCURRENTLY waits for, until lock_timeout.
            cursor.execute("INSERT INTO notes_note (text) VALUES ('being written')")
            outcome = try_once(acme, Programs(latest()))
            assert outcome.failure is not None
            assert outcome.failure.sqlstate == "55P03"
            assert as_owner(acme, INDEX) == [(False,)]
        writer.rollback()
        writer.close()
        assert roll_out().state == "succeeded"
        assert as_owner(acme, INDEX) == [(True,)]


class WorkersThatWait:
    """Case 5: a waiter that blocked in pg_advisory_lock would deadlock CREATE INDEX CONCURRENTLY."""

    def test_let_a_concurrent_index_be_made(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_index", CONCURRENT, attributes=NOT_ATOMIC)
        programs = Programs(latest())

        def work(_: int) -> str:
            try:
                return bring(acme, programs).state
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(work, range(4))) == ["migrated", "up_to_date", "up_to_date", "up_to_date"]


KILLED_INSIDE = """
import os, signal
def forwards(apps, schema_editor):
    apps.get_model("notes", "Note").objects.create(text="half done")
    if os.environ.get("DIE") and schema_editor.connection.alias.startswith("tenant_"):
        os.kill(os.getpid(), signal.SIGKILL)
"""


class WhatCannotBeDecided:
    @pytest.fixture
    def stuck(self, fleet: Fleet, notes: NotesMigrations) -> Tenant:
        (acme,) = fleet.make("first")
        notes.add(
            "0002_code", "migrations.RunPython(forwards)", ADD_COLOUR, before=KILLED_INSIDE, attributes=NOT_ATOMIC
        )
        killed = fleet.start("manage.py", "migrate_tenants", DIE="yes")
        killed.communicate(timeout=60)
        assert killed.returncode == -9
        return acme

    def test_is_left_to_a_person_with_the_reason(self, fleet: Fleet, stuck: Tenant) -> None:
        report = run_rollout(Request(latest(), Selection(slugs=("first",))))
        (failure,) = report.failures
        assert failure.failure.error == "NeedsManualError"
        assert "tenants settle" in failure.failure.message
        assert applied_to(stuck) == ["0001_initial"]

    @pytest.mark.parametrize(("answer", "rows"), [("--done", 1), ("--again", 2)])
    def test_goes_on_as_the_person_says(self, fleet: Fleet, stuck: Tenant, answer: str, rows: int) -> None:
        done = fleet.call("tenants", "settle", "first", answer)
        assert done.returncode == 0, done.stderr
        report = roll_out()
        assert report.counts[AttemptState.MIGRATED] == 1
        assert as_owner(stuck, "SELECT count(*) FROM notes_note") == [(rows,)]
        assert applied_to(stuck) == ["0001_initial", "0002_code"]
