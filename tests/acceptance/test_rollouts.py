"""Rollouts over real tenants: right, and right again after faults. Case numbers are those of the design's list."""

from __future__ import annotations

import json
import subprocess
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext

from platform_site import embedded
from tenants.context import use_tenant
from tenants.databases import bookkeeping
from tenants.databases.sessions import owner_session, take_change_lock
from tenants.models import Rollout, Template, Tenant
from tenants.models.rollout import AttemptState
from tenants.rollout.outcome import Outcome
from tenants.rollout.program import Programs
from tenants.rollout.request import Request
from tenants.rollout.result import Report
from tenants.rollout.runner import run_rollout
from tenants.rollout.selection import Selection
from tenants.rollout.target import latest, resolve
from tenants.rollout.watcher import Silent
from tenants.rollout.waves import Canary
from tenants.rollout.worker import WorkOptions, bring, look
from tests.apps.notes.models import Note
from tests.support.faults import WAITS_AT_THE_GATE, closed_gate, fault_at_ddl, migrate_tenants_killed_where
from tests.support.fleet import Fleet, as_owner, on_server
from tests.support.migrations import ADD_COLOUR, ADD_INDEXED, RAISES_ON_A_BAD_NOTE, NotesMigrations


def schema_of(tenant_or_name: Tenant | str) -> str:
    name = tenant_or_name if isinstance(tenant_or_name, str) else tenant_or_name.alias
    settings = connections["default"].settings_dict
    command = ["pg_dump", "--schema-only", "--no-owner", "--no-privileges", "--restrict-key=x", "--exclude-schema=silo"]
    return subprocess.run(
        [str(embedded.programs() / command[0]), *command[1:], "-h", settings["HOST"], "-U", "postgres", "-d", name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def columns_of(tenant: Tenant, table: str = "notes_note") -> set[str]:
    found = as_owner(tenant, "SELECT column_name FROM information_schema.columns WHERE table_name = %s", table)
    return {name for (name,) in found}


def applied_to(tenant: Tenant, app: str = "notes") -> list[str]:
    with owner_session(tenant) as connection:
        return [name for label, name in bookkeeping.read(connection).applied if label == app]


def roll_out(app: str | None = None, migration: str | None = None, **request: Any) -> Report:
    return run_rollout(Request(resolve(app, migration), **request))


COUNT_RUNS = """
def forwards(apps, schema_editor):
    Note = apps.get_model("notes", "Note")
    Note.objects.create(text="made by a migration")

def backwards(apps, schema_editor):
    apps.get_model("notes", "Note").objects.all().delete()
"""
DATA = "migrations.RunPython(forwards, backwards)"


class ARollout:
    def test_brings_every_tenant_to_the_last_migration(self, fleet: Fleet, notes: NotesMigrations) -> None:
        acme, globex = fleet.make("first", "second")
        notes.add("0002_colour", ADD_COLOUR)
        report = roll_out()
        assert (report.state, report.counts[AttemptState.MIGRATED]) == ("succeeded", 2)
        assert all("colour" in columns_of(tenant) for tenant in (acme, globex))

    def test_has_nothing_to_do_the_second_time(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out()
        report = roll_out()
        assert (report.state, report.counts[AttemptState.UP_TO_DATE]) == ("nothing_to_do", 1)

    def test_writes_nothing_to_a_tenant_that_is_up_to_date(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        written = "SELECT pg_current_xact_id()::text::bigint"
        before = as_owner(acme, written)[0][0]
        roll_out()
        # Transaction ids count over the whole server, so other databases' are looked at as well: none wrote to acme's.
        changed = as_owner(acme, "SELECT count(*) FROM django_migrations WHERE xmin::text::bigint > %s", before)
        assert changed == [(0,)]

    def test_asks_main_little_where_nothing_is_to_do(self, fleet: Fleet) -> None:
        fleet.make("first", "second", "third")
        with CaptureQueriesContext(connections["default"]) as asked:
            roll_out()
        statements = [query["sql"] for query in asked if query["sql"] not in {"BEGIN", "COMMIT"}]
        # Each is a thousandth of a second, of which the least rollout has a few hundred.
        assert len(statements) <= 21, "\n".join(statements)
        assert not any("pg_catalog" in statement for statement in statements)

    def test_goes_back_and_forth(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        start = schema_of(acme)
        notes.add("0002_colour", ADD_COLOUR)
        notes.add("0003_rank", ADD_INDEXED)
        roll_out()
        there = schema_of(acme)
        roll_out("notes", "0001")
        assert schema_of(acme) == start
        roll_out("notes", "0003")
        assert applied_to(acme) == ["0001_initial", "0002_colour", "0003_rank"]
        assert columns_of(acme) == {"id", "text", "colour", "rank"}
        assert "notes_note_rank" in there

    def test_steps_back_and_on_from_where_each_tenant_stands(self, fleet: Fleet, notes: NotesMigrations) -> None:
        acme, globex = fleet.make("first", "second")
        notes.add("0002_colour", ADD_COLOUR)
        notes.add("0003_rank", ADD_INDEXED)
        roll_out("notes", "0002", selection=Selection(slugs=("first",)))
        roll_out("notes", "+1")
        assert (len(applied_to(acme)), len(applied_to(globex))) == (3, 2)
        roll_out("notes", "-1")
        assert (len(applied_to(acme)), len(applied_to(globex))) == (2, 1)

    def test_does_not_step_beyond_the_first(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        assert "beyond its first" in roll_out("notes", "-2").failures[0].failure.message

    def test_takes_all_of_an_app_back(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        roll_out("notes", "zero")
        assert applied_to(acme) == []
        assert columns_of(acme) == set()

    def test_records_but_does_not_run_what_is_faked(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out(work=WorkOptions(fake=True))
        assert applied_to(acme) == ["0001_initial", "0002_colour"]
        assert "colour" not in columns_of(acme)

    def test_brings_only_the_selected_tenants(self, fleet: Fleet, notes: NotesMigrations) -> None:
        acme, globex = fleet.make("first", "second")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out(selection=Selection(slugs=("first",)))
        assert "colour" in columns_of(acme)
        assert "colour" not in columns_of(globex)

    def test_runs_python_with_the_tenant_current(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_data", DATA, before=COUNT_RUNS)
        roll_out()
        with use_tenant(acme):
            assert [note.text for note in Note.objects.all()] == ["made by a migration"]

    def test_gives_run_python_the_models_of_its_own_time(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        uses_colour = """
            def forwards(apps, schema_editor):
                apps.get_model("notes", "Note").objects.create(text="x", colour="blue")
        """
        notes.add("0002_colour", ADD_COLOUR)
        notes.add("0003_data", "migrations.RunPython(forwards)", before=uses_colour)
        notes.add("0004_bare", 'migrations.RemoveField("note", "colour")')
        roll_out()
        assert columns_of(acme) == {"id", "text"}
        assert as_owner(acme, "SELECT text FROM notes_note") == [("x",)]

    def test_writes_down_what_became_of_each(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        report = roll_out()
        attempt = Rollout.objects.get(pk=str(report.rollout)).attempts.get()
        assert (attempt.tenant, attempt.state, attempt.applied) == (acme, "migrated", ["notes.0002_colour"])
        acme.refresh_from_db()
        assert acme.head["notes"] == "0002_colour"


SQUASHES = 'replaces = [("notes", "0001_initial"), ("notes", "0002_colour")]'
CREATE_SQUASHED = """migrations.CreateModel("Note", [("id", models.BigAutoField(auto_created=True, primary_key=True,
    serialize=False, verbose_name="ID")), ("text", models.CharField(max_length=100)),
    ("colour", models.CharField(default="red", max_length=20))], options={"ordering": ("id",)})"""

OPERATIONS = {
    "a field": [ADD_COLOUR],
    "an index": [ADD_INDEXED],
    "a table with a key": [
        """migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True)),
           ("note", models.ForeignKey("notes.note", models.CASCADE)),
           ("others", models.ManyToManyField("notes.note", related_name="+"))])"""
    ],
    "a constraint": [
        'migrations.AddConstraint("note", models.UniqueConstraint(fields=["text"], name="text_once"))',
        'migrations.AddConstraint("note", models.CheckConstraint(condition=~models.Q(text=""), name="some_text"))',
    ],
    "a renamed table and field": [
        'migrations.RenameModel("note", "Memo")',
        'migrations.RenameField("memo", "text", "words")',
    ],
    "an altered field": ['migrations.AlterField("note", "text", models.TextField(unique=True))'],
    "sql": ['migrations.RunSQL("CREATE TABLE a (b int); CREATE INDEX c ON a (b)", "DROP TABLE a")'],
    "state and database apart": [
        f"""migrations.SeparateDatabaseAndState(
               [migrations.RunSQL("ALTER TABLE notes_note ADD colour varchar(20)")], [{ADD_COLOUR}])"""
    ],
}


class TheSchema:
    @pytest.mark.parametrize("operations", OPERATIONS.values(), ids=OPERATIONS)
    def test_is_what_django_makes_to_the_byte(
        self, fleet: Fleet, notes: NotesMigrations, operations: list[str]
    ) -> None:
        """Where it is worked out, and where that is replayed."""
        worked_out, replayed, djangos = fleet.make("first", "second", "third")
        notes.add("0002_next", *operations)
        roll_out(selection=Selection(slugs=("first", "second")), workers=1)
        migrate_as_django_does(djangos)
        assert schema_of(worked_out) == schema_of(replayed) == schema_of(djangos)
        assert applied_to(worked_out) == applied_to(replayed) == applied_to(djangos)

    def test_is_the_same_for_a_new_tenant(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (old,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out()
        (new,) = fleet.make("second")
        assert schema_of(new) == schema_of(old)
        assert applied_to(new) == applied_to(old)

    def test_is_made_by_a_squashed_migration_too(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out()
        notes.squash("0001_squashed_0002", CREATE_SQUASHED, attributes=SQUASHES)
        assert roll_out().state in {"succeeded", "nothing_to_do"}
        assert applied_to(acme) == ["0001_initial", "0002_colour", "0001_squashed_0002"]
        assert roll_out().state == "nothing_to_do"

    def test_loses_a_squashed_migrations_record_with_its_tables(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out()
        notes.squash("0001_squashed_0002", CREATE_SQUASHED, attributes=SQUASHES)
        roll_out("notes", "zero")
        assert (applied_to(acme), columns_of(acme)) == ([], set())

    def test_keeps_no_default_that_was_for_one_time_only(self, fleet: Fleet, notes: NotesMigrations) -> None:
        tenants = fleet.make(*[f"tenant-{letter}" for letter in "abcdefgh"])
        for tenant in tenants:
            as_owner(tenant, "INSERT INTO notes_note (text) VALUES ('older')")
        field = 'models.CharField(default="red", max_length=20, blank=True), preserve_default=False'
        altered = 'models.CharField(default="x", max_length=30), preserve_default=False'
        for number in range(2, 7):
            notes.add(f"000{number}_c", f'migrations.AddField("note", "c{number}", {field})')
        notes.add("0007_altered", f'migrations.AlterField("note", "c2", {altered})')
        assert not roll_out(on_error="continue").failures
        defaults = (
            "SELECT count(*) FROM information_schema.columns WHERE column_name LIKE 'c_' AND column_default <> ''"
        )
        for tenant in tenants:
            assert as_owner(tenant, "SELECT c2, c3, c4, c5, c6 FROM notes_note") == [("red",) * 5]
            assert as_owner(tenant, defaults) == [(0,)]
        assert not roll_out("notes", "0001", on_error="continue").failures

    def test_is_completed_where_a_squashed_migrations_predecessors_are_applied_in_part(
        self, fleet: Fleet, notes: NotesMigrations
    ) -> None:
        partly, fresh = fleet.make("first", "second")
        notes.add("0002_colour", ADD_COLOUR)
        notes.add("0003_rank", ADD_INDEXED)
        roll_out("notes", "0002", selection=Selection(slugs=("first",)))
        replaced = 'replaces = [("notes", "0002_colour"), ("notes", "0003_rank")]'
        notes.squash("0002_squashed_0003", ADD_COLOUR, ADD_INDEXED, attributes=replaced, after="0001_initial")
        report = roll_out()
        assert not report.failures
        assert schema_of(partly) == schema_of(fresh)
        assert set(applied_to(partly)) == set(applied_to(fresh))


def migrate_as_django_does(tenant: Tenant) -> None:
    """Django's own executor, as the owner, to the last migration of the tenant apps."""
    from django.db.migrations.executor import MigrationExecutor

    with owner_session(tenant) as connection:
        executor = MigrationExecutor(connection)
        executor.migrate([node for node in executor.loader.graph.leaf_nodes() if node[0] in {"tenant_data", "notes"}])


@pytest.mark.parametrize(
    "arguments",
    [pytest.param([], id="replayed as on the template"), pytest.param(["--tenant=first"], id="run by Django")],
)
class KilledBeforeTheRecordIsCommitted:
    """Case 1: DDL, deferred SQL and record are one transaction, whichever way it is run."""

    KILL = migrate_tenants_killed_where("SELECT count(*) > 1 FROM public.django_migrations WHERE app = 'notes'")

    def test_the_rerun_applies_it_once(self, fleet: Fleet, notes: NotesMigrations, arguments: list[str]) -> None:
        (acme,) = fleet.make("first")
        before = schema_of(acme)
        notes.add("0002_rank", ADD_INDEXED)
        killed = fleet.start("-c", self.KILL, *arguments)
        killed.communicate(timeout=60)
        assert killed.returncode == -9
        assert (schema_of(acme), applied_to(acme)) == (before, ["0001_initial"])
        report = fleet.migrate()
        assert (report["exit"], report["tenants"]["migrated"]) == (0, 1)
        assert applied_to(acme) == ["0001_initial", "0002_rank"]

    def test_the_dead_rollout_is_marked_interrupted(
        self, fleet: Fleet, notes: NotesMigrations, arguments: list[str]
    ) -> None:
        fleet.make("first")
        notes.add("0002_rank", ADD_INDEXED)
        fleet.start("-c", self.KILL, *arguments).communicate(timeout=60)
        assert Rollout.objects.get().state == Rollout.State.RUNNING
        fleet.migrate()
        assert sorted(Rollout.objects.values_list("state", flat=True)) == ["interrupted", "succeeded"]


class AResumedRollout:
    def test_goes_on_with_the_target_and_tenants_it_had(self, fleet: Fleet, notes: NotesMigrations) -> None:
        acme, globex = fleet.make("first", "second")
        notes.add("0002_rank", ADD_INDEXED)
        arguments = ["notes", "0002", "--tenant=first"]
        fleet.start("-c", KilledBeforeTheRecordIsCommitted.KILL, *arguments).communicate(timeout=60)
        found = fleet.migrate("--resume")
        assert (found["exit"], found["target"], found["tenants"]["total"]) == (0, "notes 0002", 1)
        assert (len(applied_to(acme)), len(applied_to(globex))) == (2, 1)

    def test_goes_on_in_the_manner_it_had_less_what_is_said_now(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        call_command("migrate_tenants", "--workers=3", "--on-error=continue", "--lock-timeout=1s", stdout=StringIO())
        call_command("migrate_tenants", "--resume", "--lock-timeout=9s", "--waves=50%,100%", stdout=StringIO())
        manner = Rollout.objects.latest("started_at").options
        assert (manner["workers"], manner["on_error"]) == (3, "continue")
        assert (manner["lock_timeout_ms"], manner["waves"]) == (9000, "50%,100%")

    def test_is_looked_ahead_to(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first", "second")
        call_command("migrate_tenants", "--tenant=first", stdout=StringIO())
        notes.add("0002_colour", ADD_COLOUR)
        plan = StringIO()
        call_command("migrate_tenants", "--resume", "--plan", "--format=json", stdout=plan)
        assert json.loads(plan.getvalue())["tenants"]["total"] == 1

    def test_does_not_take_a_step_twice(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        notes.add("0003_rank", ADD_INDEXED)
        first = fleet.migrate("notes", "+1")
        again = fleet.migrate("--resume", first["rollout"][:8])
        assert (again["exit"], again["state"]) == (0, "nothing_to_do")
        assert applied_to(acme) == ["0001_initial", "0002_colour"]

    def test_finishes_a_step_that_was_cut_off_and_takes_no_other(self, fleet: Fleet, notes: NotesMigrations) -> None:
        """Killed before the ledger in main heard of anything: the tenants' own databases know."""
        tenants = fleet.make("first", "second", "third")
        for number in range(2, 5):
            notes.add(f"000{number}_c", f'migrations.AddField("note", "c{number}", models.TextField(default=""))')
        roll_out()
        both_steps_taken = "SELECT count(*) = 2 FROM public.django_migrations WHERE app = 'notes'"
        kill = migrate_tenants_killed_where(f"{both_steps_taken} AND current_database() = '{tenants[1].alias}'")
        fleet.start("-c", kill, "notes", "-2", "--workers=1").communicate(timeout=60)
        assert [len(applied_to(tenant)) for tenant in tenants] == [2, 3, 4]
        assert fleet.migrate("--resume")["exit"] == 0
        assert [len(applied_to(tenant)) for tenant in tenants] == [2, 2, 2]
        assert fleet.migrate("--resume")["state"] == "nothing_to_do"

    @pytest.mark.parametrize("arguments", [["--resume"], ["--resume", "nonsense"], ["notes", "--resume", "x"]])
    def test_is_refused_where_there_is_none(self, fleet: Fleet, arguments: list[str]) -> None:
        assert fleet.call("migrate_tenants", *arguments).returncode == 2


class KilledBeforePostMigrate:
    """Case 3: up to date also means that post_migrate has run."""

    KILL = """
import os, signal
import django
django.setup()
from django.core.management import call_command
from django.db.models.signals import post_migrate
def die(using, **_):
    if using.startswith("tenant_"):
        os.kill(os.getpid(), signal.SIGKILL)
post_migrate.connect(die)
call_command("migrate_tenants")
"""

    def test_the_rerun_sends_it(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        fleet.start("-c", self.KILL).communicate(timeout=60)
        assert applied_to(acme) == ["0001_initial", "0002_colour"]
        with owner_session(acme) as connection:
            assert bookkeeping.read(connection).post_migrate_due
        assert fleet.migrate()["tenants"]["migrated"] == 1
        with owner_session(acme) as connection:
            assert not bookkeeping.read(connection).post_migrate_due


class ASessionEndedInTheMiddle:
    """Case 12: psycopg2 has no SQLSTATE then; the connection tells."""

    def test_is_tried_again_and_applied_once(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_rank", ADD_INDEXED, DATA, before=COUNT_RUNS)
        with fault_at_ddl(acme, 2):
            report = roll_out()
        assert report.state == "succeeded", report.failures
        assert Rollout.objects.get().attempts.get().attempts == 2
        assert as_owner(acme, "SELECT count(*) FROM notes_note") == [(1,)]


class TwoRolloutsAtOnce:
    """Case 6: the second is refused, and names the first."""

    def test_leave_one_that_runs_and_one_that_is_refused(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_slow", "migrations.RunPython(forwards)", before=WAITS_AT_THE_GATE)
        with closed_gate(acme) as wait_until_reached:
            running = fleet.start("manage.py", "migrate_tenants")
            wait_until_reached()
            refused = fleet.call("migrate_tenants")
        running.communicate(timeout=60)
        assert (running.returncode, refused.returncode) == (0, 2)
        assert str(Rollout.objects.get().id) in refused.stderr
        assert applied_to(acme) == ["0001_initial", "0002_slow"]

    def test_of_any_number_let_one_run(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        with ThreadPoolExecutor(4) as pool:
            codes = {done.returncode for done in pool.map(lambda _: fleet.manage("migrate_tenants"), range(4))}
        assert 0 in codes
        assert codes <= {0, 2}
        assert applied_to(acme) == ["0001_initial", "0002_colour"]


class TwoWorkersOnOneTenant:
    """Case 20: a task delivered twice does no harm."""

    def test_apply_a_migration_once(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        slow = COUNT_RUNS.replace(
            'Note.objects.create(text="made', 'import time; time.sleep(0.3); Note.objects.create(text="made'
        )
        notes.add("0002_data", DATA, before=slow)
        programs = Programs(latest())

        def work(_: int) -> Outcome:
            try:
                return bring(acme, programs)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(3) as pool:
            outcomes = sorted(outcome.state for outcome in pool.map(work, range(3)))
        assert outcomes == ["migrated", "up_to_date", "up_to_date"]
        assert as_owner(acme, "SELECT count(*) FROM notes_note") == [(1,)]

    def test_wait_and_then_say_that_it_is_busy(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        with owner_session(acme) as holder:
            take_change_lock(holder)
            with ThreadPoolExecutor(1) as pool:
                impatient = WorkOptions(lock_wait=timedelta(seconds=0.1))
                outcome = pool.submit(bring, acme, Programs(latest()), impatient).result()
        assert outcome.failure is not None
        assert outcome.failure.error == "TenantBusyError"


class RunPythonThatRaisesOnOneTenant:
    """Case 14: only that tenant fails, rolled back, with its traceback; the rerun touches only it."""

    @pytest.fixture
    def failed(self, fleet: Fleet, notes: NotesMigrations) -> tuple[list[Tenant], Report]:
        tenants = fleet.make("first", "second", "third")
        as_owner(tenants[1], "INSERT INTO notes_note (text) VALUES ('bad')")
        notes.add("0002_picky", ADD_COLOUR, "migrations.RunPython(forwards)", before=RAISES_ON_A_BAD_NOTE)
        return tenants, roll_out(on_error="continue")

    def test_fails_there_and_goes_on_elsewhere(self, failed: tuple[list[Tenant], Report]) -> None:
        (first, second, third), report = failed
        assert report.state == "failed"
        (failure,) = report.failures
        assert (failure.tenant, failure.failure.error) == ("second", "ValueError")
        assert failure.failure.migration == "notes.0002_picky"
        assert "a note is bad" in failure.failure.traceback
        assert "colour" not in columns_of(second)
        assert all("colour" in columns_of(tenant) for tenant in (first, third))

    def test_the_rerun_of_the_failed_touches_only_it(self, failed: tuple[list[Tenant], Report]) -> None:
        (_, second, _), _ = failed
        as_owner(second, "DELETE FROM notes_note")
        report = roll_out(selection=Selection(only_failed=True))
        assert (report.total, report.counts[AttemptState.MIGRATED]) == (1, 1)

    def test_is_not_forgotten_by_a_rollout_that_did_not_come_to_it(
        self, failed: tuple[list[Tenant], Report], notes: NotesMigrations
    ) -> None:
        (_, second, _), _ = failed
        roll_out(selection=Selection(slugs=("third",)))
        as_owner(second, "DELETE FROM notes_note")
        report = roll_out(selection=Selection(only_failed=True))
        assert (report.total, report.counts[AttemptState.MIGRATED]) == (1, 1)

    def test_is_still_the_only_one_when_the_rerun_of_the_failed_is_gone_on_with(
        self, failed: tuple[list[Tenant], Report], fleet: Fleet, notes: NotesMigrations
    ) -> None:
        """It was once taken for a rollout to the whole fleet."""
        (first, second, _), _ = failed
        roll_out(selection=Selection(only_failed=True))
        as_owner(second, "DELETE FROM notes_note")
        notes.add("0003_later", ADD_INDEXED)
        done = fleet.migrate("--resume")
        assert (done["exit"], done["tenants"]["total"], done["tenants"]["migrated"]) == (0, 1, 1)
        assert applied_to(first)[-1] == "0002_picky"

    def test_stops_at_the_first_failure_where_it_is_told_nothing_else(
        self, fleet: Fleet, notes: NotesMigrations
    ) -> None:
        tenants = fleet.make("first", "second", "third")
        for tenant in tenants:
            as_owner(tenant, "INSERT INTO notes_note (text) VALUES ('bad')")
        notes.add("0002_picky", "migrations.RunPython(forwards)", before=RAISES_ON_A_BAD_NOTE)
        report = roll_out(workers=1)
        assert (len(report.failures), report.pending) == (1, 2)

    def test_stops_at_the_third_equal_error_and_counts_who_was_touched(
        self, fleet: Fleet, notes: NotesMigrations
    ) -> None:
        """Case 15."""
        for tenant in fleet.make("alpha", "beta", "delta", "gamma", "omega")[1:]:
            as_owner(tenant, "INSERT INTO notes_note (text) VALUES ('bad')")
        notes.add("0002_picky", "migrations.RunPython(forwards)", before=RAISES_ON_A_BAD_NOTE)
        report = roll_out(workers=1, on_error="continue")
        assert (report.counts[AttemptState.MIGRATED], len(report.failures), report.pending) == (1, 3, 1)


class AMigrationThatFailsOnTheTemplate:
    def test_touches_no_tenant(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_broken", 'migrations.RunSQL("SELECT 1/0")')
        report = fleet.migrate()
        assert (report["exit"], report["state"]) == (1, "failed")
        (failure,) = report["failures"]
        assert failure == {
            "tenant": None,
            "migration": "notes.0002_broken",
            "sqlstate": "22012",
            "error": "DataError",
            "message": "division by zero",
            "attempts": 1,
        }
        assert report["tenants"]["pending"] == 1
        assert applied_to(acme) == ["0001_initial"]


class KilledWhileOldTemplatesAreDropped:
    KILL = """
import os, signal
import django
django.setup()
from tenants.rollout import templates
drop = templates.drop
def drop_and_die(*arguments):
    drop(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
templates.drop, templates.KEPT = drop_and_die, 0
from django.core.management import call_command
call_command("migrate_tenants", "notes", "0001")
"""

    @pytest.fixture
    def gone(self, fleet: Fleet, notes: NotesMigrations) -> Template:
        """The template of notes.0002, whose database was dropped by a rollout that was killed then."""
        fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out()
        killed = fleet.start("-c", self.KILL)
        killed.communicate(timeout=60)
        assert killed.returncode == -9
        on_disk = {name for (name,) in on_server("SELECT datname FROM pg_database")}
        (gone,) = [template for template in Template.objects.all() if template.name not in on_disk]
        return gone

    def test_no_tenant_is_cloned_from_what_has_gone(self, fleet: Fleet, gone: Template) -> None:
        assert roll_out("notes", "0002").state == "succeeded"
        (late,) = fleet.make("second")
        assert applied_to(late) == ["0001_initial", "0002_colour"]

    def test_the_next_run_cleans_up_even_where_it_has_nothing_to_do(self, gone: Template) -> None:
        assert roll_out("notes", "0001").state == "nothing_to_do"
        assert not Template.objects.filter(pk=gone.pk).exists()


class ATenantThatIsNotWhatItShouldBe:
    """Case 18: named with the difference; never faked away."""

    def test_with_migrations_that_the_code_does_not_know_is_named(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        as_owner(acme, "INSERT INTO django_migrations (app, name, applied) VALUES ('notes', '0009_future', now())")
        report = roll_out()
        (failure,) = report.failures
        assert failure.failure.error == "UnknownMigrationsError"
        assert "notes.0009_future" in failure.failure.message

    def test_whose_schema_drifted_fails_with_the_difference(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        as_owner(acme, "ALTER TABLE notes_note ADD colour text")
        notes.add("0002_colour", ADD_COLOUR)
        report = roll_out()
        (failure,) = report.failures
        assert failure.failure.sqlstate == "42701"
        assert "+ column public.notes_note.colour: text" in failure.failure.message

    def test_is_found_by_the_drift_command(self, fleet: Fleet, notes: NotesMigrations) -> None:
        acme, _ = fleet.make("first", "second")
        as_owner(acme, "DROP INDEX document_by_title")
        done = fleet.call("tenants", "drift")
        assert done.returncode == 1
        assert "first: differs" in done.stdout
        assert "- index CREATE INDEX document_by_title" in done.stdout
        assert "1 of 2 tenants drifted" in done.stdout

    def test_whose_history_has_a_gap_is_named(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (acme,) = fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out()
        as_owner(acme, "DELETE FROM django_migrations WHERE app = 'notes' AND name = '0001_initial'")
        assert roll_out().failures[0].failure.error == "InconsistentHistoryError"

    def test_whose_database_has_gone_is_a_failure_and_not_made_again(self, fleet: Fleet) -> None:
        (acme,) = fleet.make("first")
        on_server(f'DROP DATABASE "{acme.alias}"')
        report = roll_out()
        assert report.failures[0].failure.error == "DatabaseMissingError"
        assert on_server("SELECT 1 FROM pg_database WHERE datname = %s", acme.alias) == []
        assert Tenant.objects.filter(slug="first").exists()

    def test_whose_database_is_another_tenants_is_refused(self, fleet: Fleet, notes: NotesMigrations) -> None:
        acme, globex = fleet.make("first", "second")
        as_owner(acme, "UPDATE silo.facts SET value = %s WHERE name = 'tenant'", str(globex.id))
        notes.add("0002_colour", ADD_COLOUR)
        report = roll_out(on_error="continue")
        assert [failed.failure.error for failed in report.failures] == ["WrongTenantError"]
        assert "colour" not in columns_of(acme)


class ATenantThatGoesOutOfServiceMeanwhile:
    """Case 16."""

    def test_is_skipped(self, fleet: Fleet, notes: NotesMigrations) -> None:
        from tenants.lifecycle import suspend

        _, second = fleet.make("first", "second")
        notes.add("0002_colour", ADD_COLOUR)

        class SuspendMeanwhile(Silent):
            def wave(self, title: str, number: int, of: int, tenants: int) -> None:
                if number == 2:
                    suspend(second)

        request = Request(latest(), canary=Canary(slugs=("first",)))
        report = run_rollout(request, watcher=SuspendMeanwhile())
        assert (report.state, report.counts[AttemptState.SKIPPED]) == ("succeeded", 1)


class AMigrationThatMisbehaves:
    @pytest.mark.parametrize(
        "raises",
        ['sys.exit("no")', 'raise ValueError("a NUL: " + chr(0))', 'raise ValueError("no UTF-8: " + chr(0xDCE9))'],
    )
    def test_is_a_failure_that_is_reported(self, fleet: Fleet, notes: NotesMigrations, raises: str) -> None:
        acme, _ = fleet.make("first", "second")
        as_owner(acme, "INSERT INTO notes_note (text) VALUES ('bad')")
        guilty = RAISES_ON_A_BAD_NOTE.replace('raise ValueError("a note is bad")', raises)
        notes.add("0002_picky", "migrations.RunPython(forwards)", before=f"import sys\n{textwrap.dedent(guilty)}")
        found = fleet.migrate_json("--on-error", "continue")
        assert (found["exit"], found["tenants"]["failed"], found["tenants"]["pending"]) == (1, 1, 0)
        assert Rollout.objects.get().state == Rollout.State.FAILED


class ATenantMadeMeanwhile:
    """Case 17, and while the fleet stands elsewhere."""

    def test_is_made_where_the_fleet_stands_after_going_back(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out()
        roll_out("notes", "0001")
        (late,) = fleet.make("second")
        assert applied_to(late) == ["0001_initial"]
        assert "colour" not in columns_of(late)

    def test_is_made_where_the_fleet_stands_after_several_steps(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        notes.add("0003_rank", ADD_INDEXED)
        for step in ("+1", "+1", "-1"):
            assert fleet.migrate("notes", step)["tenants"]["migrated"] == 1
        assert fleet.migrate("--resume")["state"] == "nothing_to_do"
        (late,) = fleet.make("second")
        assert applied_to(late) == ["0001_initial", "0002_colour"]

    def test_is_not_moved_by_a_rollout_to_some(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        roll_out(selection=Selection(slugs=("first",)))
        (late,) = fleet.make("second")
        assert applied_to(late) == ["0001_initial"]

    def test_is_brought_along_before_the_rollout_ends(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        made: list[Tenant] = []

        class SignUpMeanwhile(Silent):
            def done(self, tenant: Tenant | None, outcome: object) -> None:
                if tenant is not None and not made:
                    made.extend(fleet.make("late"))

        report = run_rollout(Request(resolve(None, None)), watcher=SignUpMeanwhile())
        assert (report.total, report.counts[AttemptState.MIGRATED]) == (2, 2)
        assert applied_to(made[0]) == ["0001_initial", "0002_colour"]


class DjangosOwnMigrate:
    def test_on_a_tenant_runs_as_the_owner_and_records_what_a_rollout_would(
        self, fleet: Fleet, notes: NotesMigrations
    ) -> None:
        acme, globex = fleet.make("first", "second")
        notes.add("0002_colour", ADD_COLOUR)
        call_command("migrate", f"--database={acme.alias}", verbosity=0)
        call_command("migrate", database=globex.alias, verbosity=0)
        assert "colour" in columns_of(acme)
        assert applied_to(acme) == applied_to(globex) == ["0001_initial", "0002_colour"]
        with owner_session(acme) as connection:
            assert {app for app, _ in bookkeeping.read(connection).applied} == {"notes", "tenant_data"}


class TenantsOfOneHead:
    def test_share_what_is_known_of_their_migrations(self, fleet: Fleet) -> None:
        """At 10,000 tenants with a hundred migrations that is 170 MB."""
        facts = [look(tenant) for tenant in fleet.make("first", "second")]
        assert facts[0].applied is facts[1].applied
