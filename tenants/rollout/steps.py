"""Migrations with ``atomic = False``, one operation after the other, so that a killed one can be gone on with.

Such a migration is no transaction, so the tenant's own database notes how far it is. An operation that can run in a
transaction does, and its note commits with it. For one that cannot, the note says before that it was begun. If the next
run finds it begun and not done:

- making or dropping an index concurrently is decided by looking: an INVALID index is dropped and made again;
- anything else (RunPython, other SQL) may have been done, or in part, or not: ``NeedsManualError``, and a person says
  which with ``manage.py tenants settle``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.migrations.operations import RunSQL
from django.db.migrations.operations.base import Operation

from tenants.context import current_tenant
from tenants.databases import bookkeeping
from tenants.databases.bookkeeping import Facts
from tenants.errors import InvalidIndexError, NeedsManualError, TransitionError
from tenants.rollout.program import PreparedMigration, PreparedOperation
from tenants.rollout.script import SCHEMA_OPERATIONS
from tenants.routing.backend.base import DatabaseWrapper

_INDEX_STATEMENT = re.compile(
    r"^\s*(?P<verb>CREATE|DROP)\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
    r'(?P<quote>"?)(?P<name>\w+)(?P=quote)[^;]*;?\s*$',
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Progress:
    """How far a migration is: ``done`` operations are complete, and the next may have been ``begun``."""

    migration: str
    backwards: bool
    done: int = 0
    begun: bool = False

    @classmethod
    def of(cls, prepared: PreparedMigration, facts: Facts) -> Progress:
        """What an earlier run noted of this migration, or the beginning."""
        noted = facts.notes.get(bookkeeping.STEP)
        if noted is not None:
            progress = cls(**json.loads(noted))
            if (progress.migration, progress.backwards) == (prepared.title, prepared.backwards):
                return progress
        return cls(prepared.title, prepared.backwards)

    def note(self, connection: DatabaseWrapper) -> None:
        with connection.cursor() as cursor:
            bookkeeping.note(cursor, bookkeeping.STEP, json.dumps(vars(self)))


def migrate_in_steps(connection: DatabaseWrapper, prepared: PreparedMigration, facts: Facts) -> None:
    """Carry out the operations that are not done yet. The caller records the migration, and erases the note with it.

    Raises ``NeedsManualError`` and ``InvalidIndexError``.
    """
    progress = Progress.of(prepared, facts)
    for number, step in enumerate(prepared.operations):
        if number < progress.done:
            continue
        after = Progress(prepared.title, prepared.backwards, done=number + 1)
        if _fits_a_transaction(step.operation):
            with connection.schema_editor(atomic=True) as editor:
                run_operation(editor, prepared, step)
                after.note(connection)
            continue
        _run_begun(connection, prepared, step, number, was_begun=progress.begun and progress.done == number)
        after.note(connection)


def run_operation(editor: Any, prepared: PreparedMigration, step: PreparedOperation) -> None:
    """Run one operation, and at once the SQL that Django would defer to the migration's end."""
    prepared.run(step, editor)
    run_deferred(editor)


def run_deferred(editor: Any) -> None:
    for statement in editor.deferred_sql:
        editor.execute(statement, None)
    editor.deferred_sql.clear()


def settle(connection: DatabaseWrapper, facts: Facts, *, was_done: bool) -> str:
    """Say of an operation that was begun whether it took effect; gives the migration. The next run goes on from there.

    Raises ``TransitionError`` where nothing waits to be settled.
    """
    noted = facts.notes.get(bookkeeping.STEP)
    progress = Progress(**json.loads(noted)) if noted is not None else None
    if progress is None or not progress.begun:
        raise TransitionError(f"{_slug()} has no operation that was begun and not finished")
    Progress(progress.migration, progress.backwards, done=progress.done + was_done).note(connection)
    return progress.migration


def _slug() -> str:
    tenant = current_tenant()
    return tenant.slug if tenant else "SLUG"


def _fits_a_transaction(operation: Operation) -> bool:
    return bool(operation.atomic) or type(operation).__module__ in SCHEMA_OPERATIONS


def _run_begun(
    connection: DatabaseWrapper, prepared: PreparedMigration, step: PreparedOperation, number: int, *, was_begun: bool
) -> None:
    index = _index_of(step.operation, backwards=prepared.backwards)
    if was_begun and index is None:
        raise NeedsManualError(
            f"{prepared.title}, operation {number + 1} ({step.operation.describe()}) was cut off, and whether it took "
            f"effect cannot be told; look, then say `manage.py tenants settle {_slug()} --done` or `--again`",
            migration=prepared.title,
        )
    if was_begun and index is not None and _is_settled(connection, index):
        return
    Progress(prepared.title, prepared.backwards, done=number, begun=True).note(connection)
    with connection.schema_editor(atomic=False) as editor:
        run_operation(editor, prepared, step)
    if index is not None and index.is_made and _validity(connection, index.name) is False:
        raise InvalidIndexError(f"{index.name}; it is dropped and made again by the next run", migration=prepared.title)


@dataclass(frozen=True)
class _Index:
    """An index that an operation makes, or drops."""

    name: str
    is_made: bool


def _index_of(operation: Operation, *, backwards: bool) -> _Index | None:
    """The index that a concurrent operation makes or drops; None where the operation is anything else."""
    if isinstance(operation, AddIndexConcurrently):
        return _Index(operation.index.name, is_made=not backwards)
    if isinstance(operation, RemoveIndexConcurrently):
        return _Index(operation.name, is_made=backwards)
    if isinstance(operation, RunSQL):
        statement = operation.reverse_sql if backwards else operation.sql
        match = _INDEX_STATEMENT.match(statement) if isinstance(statement, str) else None
        if match is not None:
            return _Index(match["name"], is_made=match["verb"].upper() == "CREATE")
    return None


def _is_settled(connection: DatabaseWrapper, index: _Index) -> bool:
    """Whether what was begun is complete. An INVALID index, left by a CREATE that was cut off, is dropped first.

    With IF NOT EXISTS the statement would take the invalid one for done.
    """
    valid = _validity(connection, index.name)
    if not index.is_made:
        return valid is None
    if valid is False:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {connection.ops.quote_name(index.name)}")
    return valid is True


def _validity(connection: DatabaseWrapper, name: str) -> bool | None:
    """Whether the index is valid; None where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
            "WHERE relname = %s AND relnamespace = 'public'::regnamespace",
            [name],
        )
        found = cursor.fetchone()
    return bool(found[0]) if found else None
