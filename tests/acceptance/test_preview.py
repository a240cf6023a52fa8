"""`--plan`: what PostgreSQL says that each operation locks, what linters warn of, and that nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenants.databases import schema
from tenants.databases.sessions import maintenance, owner_session, poll, take_server_lock
from tenants.errors import TemplateError
from tenants.models import Installation, Rollout, Server, Template, Tenant
from tenants.rollout import templates
from tenants.rollout.locks import LockMode, TableLock
from tenants.rollout.observation import Observation
from tenants.rollout.observe import observe
from tenants.rollout.program import Programs
from tenants.rollout.survey import GroupPlan, survey
from tenants.rollout.target import latest, resolve
from tests.support.fleet import Fleet, as_owner, on_server
from tests.support.migrations import ADD_COLOUR, ADD_INDEXED, NotesMigrations

ADD_INDEX = 'migrations.AddIndex("note", models.Index(fields=["text"], name="by_text"))'
ADD_INDEX_CONCURRENTLY = 'AddIndexConcurrently("note", models.Index(fields=["text"], name="by_text"))'
ADD_TAG = 'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())])'
ADD_OWNED_TAG = """
    migrations.CreateModel("Tag", [
        ("id", models.BigAutoField(primary_key=True)), ("note", models.ForeignKey("notes.Note", models.CASCADE)),
    ])
"""
MARK = """
def forwards(apps, schema_editor):
    open({path!r}, "w").close()
    schema_editor.execute("CREATE TABLE made_by_python (id bigint)")
"""
WAITS_AT_THE_GATE = """
    migrations.RunSQL('''
        DO $$ BEGIN
            WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '{gate}') LOOP
                PERFORM pg_sleep(0.02), pg_stat_clear_snapshot();
            END LOOP;
        END $$
    ''', "")
"""
"""A migration that waits, in whichever database, while the gate is closed."""


def gate() -> str:
    """The gate's name: that of this process, since the workers of a parallel run share a server."""
    return f"go on {Installation.current().id.hex}"


def sql(statement: str) -> str:
    return f'migrations.RunSQL("""{statement}""", "")'


def planned(*target: str | None) -> list[GroupPlan]:
    fleet = Tenant.objects.filter(state=Tenant.State.ACTIVE)
    return survey(fleet, resolve(*target) if target else latest(), workers=1).behind


def seen(*target: str | None) -> list[Observation]:
    """What is seen of each operation of the one group."""
    (plan,) = planned(*target)
    observed = observe(plan)
    assert observed.error is None
    return observed.operations


def lock(mode: LockMode, table: str = "notes_note", **more: bool) -> tuple[TableLock, ...]:
    return (TableLock(table, mode, **more),)


EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE


class AnOperation:
    @pytest.mark.parametrize(
        ("operation", "expected"),
        [
            (ADD_COLOUR, lock(EXCLUSIVE)),
            ('migrations.AlterField("note", "text", models.TextField())', lock(EXCLUSIVE)),
            (
                'migrations.AlterField("note", "text", models.CharField(max_length=10))',
                lock(EXCLUSIVE, rewrites=True, scans=True),
            ),
            (
                'migrations.AddConstraint("note", models.CheckConstraint(condition=~models.Q(text=""), name="said"))',
                lock(EXCLUSIVE, scans=True),
            ),
            ('migrations.RenameField("note", "text", "words")', lock(EXCLUSIVE)),
            (ADD_INDEX, lock(LockMode.SHARE, scans=True)),
            (ADD_OWNED_TAG, lock(LockMode.SHARE_ROW_EXCLUSIVE)),
            (ADD_TAG, ()),
            (sql("UPDATE notes_note SET text = upper(text)"), lock(LockMode.ROW_EXCLUSIVE, scans=True)),
            (sql("LOCK notes_note IN EXCLUSIVE MODE"), lock(LockMode.EXCLUSIVE)),
            (sql("CREATE TYPE mood AS ENUM ('fair')"), ()),
            (sql("CREATE EXTENSION pg_trgm"), ()),
            (sql("GRANT SELECT ON notes_note TO CURRENT_USER"), lock(LockMode.ACCESS_SHARE)),
        ],
    )
    def test_is_shown_with_its_locks(
        self, fleet: Fleet, notes: NotesMigrations, operation: str, expected: tuple[TableLock, ...]
    ) -> None:
        fleet.make("one")
        notes.add("0002_next", operation)
        (operation_seen,) = seen()
        assert (operation_seen.locks, operation_seen.error) == (expected, None)

    def test_that_locks_what_one_before_locked_is_shown_with_it_too(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one")
        notes.add("0002_two", ADD_COLOUR, ADD_INDEXED)
        assert [one.locks for one in seen()] == [lock(EXCLUSIVE), lock(EXCLUSIVE, scans=True)]

    def test_on_a_table_that_the_plan_makes_locks_nothing(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one")
        notes.add("0002_tag", ADD_TAG, 'migrations.AddField("tag", "size", models.IntegerField(default=0))')
        notes.add("0003_tag", 'migrations.AddIndex("tag", models.Index(fields=["name"], name="tags"))')
        assert [(one.locks, one.findings) for one in seen()] == [((), ())] * 3

    def test_is_seen_backwards_as_well(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one")
        notes.add("0002_two", ADD_COLOUR, ADD_INDEX)
        fleet.migrate()
        drops_index, drops_column = seen("notes", "0001")
        assert (drops_index.locks, drops_column.locks) == (lock(EXCLUSIVE), lock(EXCLUSIVE))
        assert "DROP COLUMN" in drops_column.statements[0]

    def test_outside_a_transaction_has_its_documented_lock(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one")
        drop, rebuild = "DROP INDEX CONCURRENTLY by_text", "REINDEX INDEX CONCURRENTLY by_text"
        notes.add(
            "0002_apart", ADD_INDEX_CONCURRENTLY, sql(rebuild), sql(drop), ADD_COLOUR, attributes="atomic = False"
        )
        expected = lock(LockMode.SHARE_UPDATE_EXCLUSIVE)
        assert [(one.locks, one.documented) for one in seen()] == [(expected, True)] * 3 + [(lock(EXCLUSIVE), False)]


class PythonInAPlan:
    @pytest.fixture
    def mark(self, fleet: Fleet, tmp_path: Path) -> Path:
        fleet.make("one")
        return tmp_path / "ran"

    def test_is_not_run(self, notes: NotesMigrations, mark: Path) -> None:
        notes.add("0002_python", "migrations.RunPython(forwards)", ADD_COLOUR, before=MARK.format(path=str(mark)))
        python, adds_colour = seen()
        assert (python.runs_python, python.locks, adds_colour.locks) == (True, (), lock(EXCLUSIVE))
        assert not mark.exists()

    def test_is_not_run_where_it_is_wrapped(self, notes: NotesMigrations, mark: Path) -> None:
        wrapped = f"migrations.SeparateDatabaseAndState([migrations.RunPython(forwards), {ADD_INDEX}])"
        notes.add("0002_python", wrapped, before=MARK.format(path=str(mark)))
        (both,) = seen()
        assert (both.runs_python, both.locks) == (True, lock(LockMode.SHARE, scans=True))
        assert not mark.exists()

    def test_is_not_run_on_the_way_to_a_head_without_a_template(
        self, fleet: Fleet, notes: NotesMigrations, mark: Path
    ) -> None:
        notes.add("0002_python", "migrations.RunPython(forwards)", ADD_COLOUR, before=MARK.format(path=str(mark)))
        fleet.migrate("--tenant", "one")
        mark.unlink()
        notes.add("0003_drop", 'migrations.RemoveField("note", "colour")')
        (drops,) = seen()
        assert drops.locks == lock(EXCLUSIVE)
        assert not mark.exists()


class WhatCannotBeObserved:
    @pytest.fixture(autouse=True)
    def one(self, fleet: Fleet) -> None:
        fleet.make("one")

    def test_is_said_with_what_follows_and_the_plan_is_shown(
        self, fleet: Fleet, notes: NotesMigrations, tmp_path: Path
    ) -> None:
        python = MARK.format(path=str(tmp_path / "ran"))
        uses = sql("ALTER TABLE made_by_python ADD COLUMN n int")
        notes.add("0002_uses", "migrations.RunPython(forwards)", uses, ADD_COLOUR, before=python)
        done = fleet.call("migrate_tenants", "--plan")
        assert done.returncode == 0
        assert "3 operations; 0 hold ACCESS EXCLUSIVE, 2 could not be observed" in done.stdout
        assert 'could not be observed: ProgrammingError: relation "made_by_python" does not exist' in done.stdout
        assert "Add field colour to note\n      could not be observed: it follows one that could not" in done.stdout

    def test_is_said_of_what_an_operation_puts_off_to_the_end(self, notes: NotesMigrations) -> None:
        notes.add("0002_indexed", ADD_INDEXED, sql("SELECT 1 / 0"))
        indexed, _ = seen()
        assert (indexed.locks, "follows one that could not" in str(indexed.error)) == (lock(EXCLUSIVE), True)

    def test_is_what_the_migration_would_fail_with(self, notes: NotesMigrations) -> None:
        notes.add("0002_apart", ADD_INDEX_CONCURRENTLY)
        assert "cannot be executed inside a transaction" in str(seen()[0].error)

    def test_is_a_head_that_only_python_can_make(self, fleet: Fleet, notes: NotesMigrations, tmp_path: Path) -> None:
        python = MARK.format(path=str(tmp_path / "ran"))
        uses = sql("ALTER TABLE made_by_python ADD COLUMN n int")
        notes.add("0002_uses", "migrations.RunPython(forwards)", uses, before=python)
        fleet.migrate("--tenant", "one")
        notes.add("0003_colour", ADD_COLOUR)
        done = fleet.call("migrate_tenants", "--plan")
        assert "1 operation; locks could not be observed: TemplateError" in done.stdout
        assert "notes.0002_uses fails: ProgrammingError" in done.stdout
        assert "Add field colour to note" in done.stdout

    def test_is_all_while_a_template_is_being_built(
        self, notes: NotesMigrations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        notes.add("0002_colour", ADD_COLOUR)
        monkeypatch.setattr(templates, "SCRATCH_WAIT", timedelta(0))
        with builders_lock():
            (plan,) = planned()
            assert "another process is building" in str(observe(plan).error)

    def test_is_all_where_the_template_has_gone(self, fleet: Fleet, notes: NotesMigrations) -> None:
        notes.add("0002_colour", ADD_COLOUR)
        with template_gone():
            found = fleet.migrate("--plan")
        (plan,) = found["plan"]
        assert (found["exit"], plan["migrations"][0]["observed"]) == (0, [None])
        assert "does not exist" in plan["not_observed"]

    def test_is_what_would_change_the_whole_server(self, notes: NotesMigrations) -> None:
        notes.add("0002_role", sql("CREATE ROLE reporting"))
        (makes_role,) = seen()
        assert "pg_authid" in str(makes_role.error)
        assert on_server("SELECT count(*) FROM pg_roles WHERE rolname = 'reporting'") == [(0,)]


class Looking:
    @pytest.mark.parametrize("arguments", [["--plan"], ["--plan", "--format", "json"], ["--sql"]])
    def test_leaves_no_trace(self, fleet: Fleet, notes: NotesMigrations, arguments: list[str]) -> None:
        tenants = fleet.make("one", "two")
        notes.add("0002_colour", ADD_COLOUR, ADD_OWNED_TAG, sql("INSERT INTO notes_note (text) VALUES ('x')"))
        notes.add("0003_apart", ADD_INDEX_CONCURRENTLY, attributes="atomic = False")
        before = everything(tenants)
        done = fleet.call("migrate_tenants", *arguments)
        assert done.returncode == 0, done.stderr
        assert everything(tenants) == before

    def test_leaves_no_trace_where_it_fails(self, fleet: Fleet, notes: NotesMigrations) -> None:
        tenants = fleet.make("one")
        notes.add("0002_end", sql("SELECT pg_terminate_backend(pg_backend_pid())"))
        before = everything(tenants)
        done = fleet.call("migrate_tenants", "--plan")
        assert "could not be observed: " in done.stdout
        assert everything(tenants) == before

    def test_observes_each_group_once(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one", "two", "three")
        notes.add("0002_colour", ADD_COLOUR)
        fleet.migrate("--tenant", "three")
        notes.add("0003_index", ADD_INDEX)
        assert [(len(plan.group.tenants), len(observe(plan).operations)) for plan in planned()] == [(2, 2), (1, 1)]

    def test_for_one_tenant_by_djangos_own_command(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (tenant,) = fleet.make("one")
        notes.add("0002_colour", ADD_COLOUR)
        done = fleet.manage("migrate", "--plan", "--database", tenant.alias)
        assert "1 operation; 1 holds ACCESS EXCLUSIVE" in done.stdout

    def test_is_refused_where_no_tenant_could_go_there(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one")
        done = fleet.call("migrate_tenants", "notes", "-2", "--plan")
        assert (done.returncode, done.stdout) == (2, "")
        assert "beyond its first" in done.stderr


class APreviewInHand:
    @pytest.fixture
    def in_hand(self, fleet: Fleet, notes: NotesMigrations) -> Iterator[subprocess.Popen[str]]:
        """A preview that waits at the gate."""
        fleet.make("one")
        notes.add("0002_waits", WAITS_AT_THE_GATE.format(gate=gate()))
        process = fleet.start("manage.py", "migrate_tenants", "--plan")
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%' || %s || '%%' AND datname LIKE 'silo_template%%'"
        )
        assert poll(lambda: bool(on_server(waiting, gate())), timedelta(seconds=30)), process.communicate(timeout=1)
        yield process
        process.kill()
        process.communicate()

    def test_keeps_its_scratch_from_builders(
        self, in_hand: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(templates, "BUILD_WAIT", timedelta(0))
        with pytest.raises(TemplateError, match="another process"):
            templates.build(Server.objects.get(), Programs(resolve("notes", "zero")))
        with open_gate():
            assert "no table that is in use" in in_hand.communicate(timeout=30)[0]
        assert scratches() == []

    def test_that_is_killed_leaves_what_the_next_builder_drops(
        self, fleet: Fleet, in_hand: subprocess.Popen[str]
    ) -> None:
        in_hand.send_signal(signal.SIGKILL)
        in_hand.wait()
        ((left,),) = scratches()
        with open_gate():
            assert fleet.migrate()["exit"] == 0
        assert (scratches(), on_server("SELECT 1 FROM pg_database WHERE datname = %s", left)) == ([], [])


class Warnings:
    @pytest.fixture(autouse=True)
    def breaking(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one")
        notes.add("0002_drop", 'migrations.RemoveField("note", "text")', ADD_COLOUR, sql("drop table notes_note"))

    def test_name_operations_that_break_code_still_running(self) -> None:
        breaking = [{one.code for one in operation.findings if one.breaks_running_code} for operation in seen()]
        assert breaking == [{"DROP_COLUMN"}, {"NOT_NULL"}, {"DROP_TABLE"}]

    def test_come_from_squawk_too_where_it_is_installed(self, fleet: Fleet) -> None:
        assert "[squawk ban-drop-column]" in fleet.call("migrate_tenants", "--plan").stdout

    def test_do_without_squawk_where_it_is_not(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        # The Python that the virtual environment was made of has no squawk beside it.
        monkeypatch.setattr(sys, "executable", str(Path(sys.base_prefix) / "bin" / "python3"))
        path = f"{fleet.environment['PYTHONPATH']}:{sysconfig.get_path('purelib')}"
        done = fleet.manage("migrate_tenants", "--plan", PYTHONPATH=path, PATH="/usr/bin:/bin")
        assert done.returncode == 0, done.stderr
        assert "[django-migration-linter DROP_COLUMN]" in done.stdout
        assert "squawk" not in done.stdout + done.stderr

    def test_say_so_where_squawk_does_not_answer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / ".squawk.toml").write_text("nonsense = [")
        monkeypatch.chdir(tmp_path)
        (plan,) = planned()
        (note,) = observe(plan).notes
        assert note.startswith("squawk could not be asked: ")

    def test_cost_nothing_where_nothing_is_planned(self, fleet: Fleet) -> None:
        asked = "from django.core.management import call_command; call_command('migrate_tenants', '--tenant', 'one')"
        code = f"import django, sys; django.setup(); {asked}; print('django_migration_linter' in sys.modules)"
        process = fleet.start("-c", code)
        assert process.communicate(timeout=60)[0].splitlines()[-1] == "False"


class AColumnWithADatabaseDefault:
    def test_breaks_nothing(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one")
        notes.add(
            "0002_colour",
            'migrations.AddField("note", "colour", models.CharField(db_default="red", default="", max_length=9))',
        )
        (adds_colour,) = seen()
        assert (adds_colour.locks, adds_colour.findings) == (lock(EXCLUSIVE), ())


class JsonOfAPlan:
    def test_keeps_its_keys_and_has_what_was_seen_beside_them(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one", "two")
        notes.add("0002_colour", ADD_COLOUR)
        (plan,) = fleet.migrate("--plan")["plan"]
        (migration,) = plan["migrations"]
        assert (plan["head"]["notes"], plan["tenants"]) == ("0001_initial", ["one", "two"])
        assert (plan["access_exclusive"], plan["not_observed"], plan["notes"]) == (1, None, [])
        assert migration["operations"] == ["Add field colour to note"]
        (observed,) = migration["observed"]
        assert observed.pop("warnings")[0]["code"] == "NOT_NULL"
        assert observed == {
            "operation": "Add field colour to note",
            "locks": [{"table": "notes_note", "mode": "ACCESS EXCLUSIVE", "rewrites": False, "scans": False}],
            "runs_python": False,
            "documented": False,
            "not_observed": None,
        }

    def test_has_the_sql_as_well_where_that_is_asked_for(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("one")
        notes.add("0002_colour", ADD_COLOUR)
        (plan,) = fleet.migrate("--sql")["plan"]
        assert ("ADD COLUMN" in plan["sql"], plan["access_exclusive"]) == (True, 1)


def everything(tenants: list[Tenant]) -> list[Any]:
    """What there is on the server, in main, and in the tenants' databases; without what is of tests beside this one."""
    mine = f"silo_template_{Installation.current().id.hex[:8]}_%"
    found: list[Any] = [
        on_server("SELECT datname, datallowconn FROM pg_database WHERE datname LIKE %s ORDER BY 1", mine),
        on_server("SELECT rolname FROM pg_roles WHERE rolname !~ '^(silo_)?tenants?_' ORDER BY 1"),
        list(Template.objects.order_by("name").values()),
        list(Rollout.objects.values()),
        Installation.current().head_key,
    ]
    for tenant in tenants:
        with owner_session(tenant) as connection:
            found.append(schema.fingerprint(connection))
        found.append(as_owner(tenant, "SELECT app, name FROM django_migrations ORDER BY 1, 2"))
        found.append(as_owner(tenant, "SELECT * FROM notes_note"))
    return found


def scratches() -> list[tuple[str]]:
    return list(Template.objects.filter(state=Template.State.BUILDING).values_list("name"))


@contextmanager
def builders_lock() -> Iterator[None]:
    with maintenance(Server.objects.get()) as cursor:
        assert take_server_lock(cursor, templates.BUILD_LOCK, Installation.current().id, wait=timedelta(0))
        yield


@contextmanager
def template_gone() -> Iterator[None]:
    """The database of the template is not where main says it is."""
    template = Template.objects.get()
    Template.objects.update(name="silo_template_gone")
    try:
        yield
    finally:
        template.save()


@contextmanager
def open_gate() -> Iterator[None]:
    with maintenance(Server.objects.get()) as cursor:
        cursor.execute("SELECT set_config('application_name', %s, false)", [gate()])
        yield
