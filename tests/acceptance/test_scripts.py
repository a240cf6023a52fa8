"""What is the same in every database is worked out once; what may differ is not replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tenants.context import current_tenant
from tenants.models import Tenant
from tenants.rollout.outcome import Outcome
from tenants.rollout.program import Programs
from tenants.rollout.target import latest, resolve
from tenants.rollout.worker import bring
from tests.support.faults import gate_after_ddl
from tests.support.fleet import Fleet, as_owner
from tests.support.migrations import ADD_COLOUR, ADD_INDEXED, NotesMigrations

SALTED = """
import uuid

class SaltedField(models.TextField):
    def get_db_prep_save(self, value, connection):
        return f"{uuid.uuid4()} {value}"
"""
DIFFERS = {
    "a computed default": 'migrations.AddField("note", "key", models.UUIDField(default=uuid.uuid4))',
    "the time": 'migrations.AddField("note", "key", models.DateTimeField(auto_now_add=True))',
    "a field that stores in a way of its own": 'migrations.AddField("note", "key", SaltedField(default="x"))',
    "code": 'migrations.RunPython(lambda apps, editor: editor.execute("ALTER TABLE notes_note ADD key uuid DEFAULT '
    "'%s'\" % uuid.uuid4()))",
}

RENAME_UNIQUE = """
    DO $$ DECLARE name text; BEGIN
        SELECT conname INTO name FROM pg_constraint WHERE conrelid = 'notes_note'::regclass AND contype = 'u';
        EXECUTE format('ALTER TABLE notes_note RENAME CONSTRAINT %%I TO other', name);
    END $$
"""


class HintedRouter:
    """Has what is hinted for one tenant run there only."""

    def allow_migrate(self, db: str, app_label: str, slug: str | None = None, **hints: Any) -> bool | None:
        tenant = current_tenant()
        return None if slug is None else tenant is not None and tenant.slug == slug


@pytest.fixture
def tenants(fleet: Fleet, notes: NotesMigrations) -> list[Tenant]:
    made = fleet.make("first", "second", "third")
    for tenant in made:
        as_owner(tenant, "INSERT INTO notes_note (text) VALUES ('older')")
    return made


def bring_all(tenants: list[Tenant]) -> list[Outcome]:
    programs = Programs(latest())
    return [bring(tenant, programs) for tenant in tenants]


@contextmanager
def statements_seen(wanted: str) -> Iterator[dict[str, int]]:
    """How often a statement with these words went out, by alias."""
    seen: dict[str, int] = {}

    def see(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        alias = context["connection"].alias
        seen[alias] = seen.get(alias, 0) + (wanted in sql)
        return execute(sql, params, many, context)

    def watch(connection: BaseDatabaseWrapper, **_: Any) -> None:
        connection.execute_wrappers.append(see)

    connection_created.connect(watch)
    try:
        yield seen
    finally:
        connection_created.disconnect(watch)


class AMigrationThatIsTheSameEverywhere:
    def test_is_one_statement_from_the_second_database_on(self, tenants: list[Tenant], notes: NotesMigrations) -> None:
        notes.add("0002_both", ADD_COLOUR, ADD_INDEXED)
        with statements_seen("ALTER TABLE") as seen:
            assert not any(outcome.failure for outcome in bring_all(tenants))
        first, second, third = (seen[tenant.alias] for tenant in tenants)
        assert (first > 2, second, third) == (True, 1, 1)

    def test_may_be_sql_with_percents_and_comments(self, tenants: list[Tenant], notes: NotesMigrations) -> None:
        notes.add(
            "0002_sql", "migrations.RunSQL(\"INSERT INTO notes_note (text) VALUES ('100%s') -- all\")", ADD_COLOUR
        )
        assert not any(outcome.failure for outcome in bring_all(tenants))
        rows = "SELECT text, colour FROM notes_note ORDER BY id"
        assert [as_owner(tenant, rows) for tenant in tenants] == [[("older", "red"), ("100%s", "red")]] * 3

    def test_is_rolled_back_whole_where_it_fails(self, tenants: list[Tenant], notes: NotesMigrations) -> None:
        as_owner(tenants[2], "ALTER TABLE notes_note ADD rank int")
        notes.add("0002_both", ADD_COLOUR, ADD_INDEXED)
        *_, failed = bring_all(tenants)
        assert failed.failure is not None
        assert (failed.failure.migration, failed.failure.sqlstate) == ("notes.0002_both", "42701")
        column = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'colour'"
        assert [as_owner(tenant, column) for tenant in tenants] == [[(1,)], [(1,)], [(0,)]]


class WhatMayDiffer:
    @pytest.mark.parametrize("operation", DIFFERS.values(), ids=DIFFERS)
    def test_is_worked_out_in_each_database(
        self, tenants: list[Tenant], notes: NotesMigrations, operation: str
    ) -> None:
        notes.add("0002_key", operation, before=SALTED)
        assert not any(outcome.failure for outcome in bring_all(tenants))
        keys = {as_owner(tenant, "SELECT key FROM notes_note")[0][0] for tenant in tenants}
        assert len(keys) == len(tenants)

    def test_is_asked_of_routers_in_each_database(
        self, tenants: list[Tenant], notes: NotesMigrations, settings: Any
    ) -> None:
        settings.DATABASE_ROUTERS = [HintedRouter(), *settings.DATABASE_ROUTERS]
        sql = "INSERT INTO notes_note (text) VALUES ('hinted')"
        notes.add("0002_hinted", f'migrations.RunSQL("{sql}", hints={{"slug": "second"}})', ADD_COLOUR)
        assert not any(outcome.failure for outcome in bring_all(tenants))
        hinted = "SELECT count(*) FROM notes_note WHERE text = 'hinted'"
        assert [as_owner(tenant, hinted) for tenant in tenants] == [[(0,)], [(1,)], [(0,)]]

    def test_is_asked_of_each_database(self, tenants: list[Tenant], notes: NotesMigrations) -> None:
        """Django asks for the name of a constraint before it drops it, and that may be another after a restore."""
        notes.add("0002_unique", 'migrations.AlterField("note", "text", models.TextField(unique=True))')
        bring_all(tenants)
        as_owner(tenants[1], RENAME_UNIQUE)
        notes.add("0003_not", 'migrations.AlterField("note", "text", models.TextField())')
        assert not any(outcome.failure for outcome in bring_all(tenants))
        unique = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'notes_note'::regclass AND contype = 'u'"
        assert [as_owner(tenant, unique) for tenant in tenants] == [[(0,)]] * 3


RENAMES = {
    "a table": 'migrations.RenameModel("Note", "Memo")',
    "an index": 'migrations.RenameIndex("note", new_name="by_words", old_name="by_text")',
    "inside another operation": """migrations.SeparateDatabaseAndState(
        [migrations.RenameModel("Note", "Memo")], [migrations.RenameModel("Note", "Memo")]
    )""",
}


class AnOperationThatSwapsItsNamesToRunBackwards:
    @pytest.mark.parametrize("rename", RENAMES.values(), ids=RENAMES)
    def test_does_so_for_one_database_alone(self, fleet: Fleet, notes: NotesMigrations, rename: str) -> None:
        index = 'migrations.AddIndex("note", models.Index(fields=["text"], name="by_text"))'
        notes.add("0002_index", index)
        notes.add("0003_rename", rename)
        slow, other = fleet.make("slow", "other")
        bring_all([slow, other])
        programs = Programs(resolve("notes", "0002"))
        with ThreadPoolExecutor(1) as thread:
            with gate_after_ddl(slow, 1) as wait_until_reached:
                first = thread.submit(bring, slow, programs)
                wait_until_reached()
                outcomes = [bring(other, programs), bring(other, Programs(resolve("notes", "0001")))]
            outcomes.append(first.result())
        assert [outcome.failure for outcome in outcomes] == [None] * 3
        assert "by_text" in {name for (name,) in as_owner(slow, "SELECT indexname FROM pg_indexes")}
