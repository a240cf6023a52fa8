"""What a group's migrations lock and rewrite, seen by running them on a scratch database, which is dropped again.

The scratch has the schema of the group's head and no tenant's rows. Nothing that could be felt outside it is run:
RunPython is passed over, for it might send mails, no signals go out, and SQL that would change the whole server (roles,
databases) is rolled back. Each operation has a transaction of its own here, though a migration is one: ``pg_locks``
does not tell a lock that is taken again from one that is still held.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.postgres.operations import NotInTransactionMixin
from django.db import transaction
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.migrations.operations import RunSQL
from django.db.migrations.operations.base import Operation

from tenants.databases.bookkeeping import MigrationKey
from tenants.databases.sessions import SessionLimits, owner_session
from tenants.errors import ServerWideError, TemplateError
from tenants.models import Server, Template
from tenants.rollout import lint, locks, templates
from tenants.rollout.heads import key_of
from tenants.rollout.locks import LockMode, TableLock
from tenants.rollout.observation import Observation, Observed
from tenants.rollout.program import PreparedMigration, PreparedOperation, Programs
from tenants.rollout.survey import GroupPlan
from tenants.rollout.target import exactly
from tenants.routing.backend.base import DatabaseWrapper

_CONCURRENTLY = re.compile(
    r"^\s*(CREATE\s+(UNIQUE\s+)?INDEX|DROP\s+INDEX|REINDEX\s+(\([^)]*\)\s*)?(INDEX|TABLE))\s+CONCURRENTLY\b",
    re.IGNORECASE,
)
DOCUMENTED = LockMode.SHARE_UPDATE_EXCLUSIVE
"""What making, dropping and rebuilding an index CONCURRENTLY holds on the table. It runs outside any transaction, so
there is no moment at which to ask. Source: https://www.postgresql.org/docs/current/explicit-locking.html, 13.3.1."""

LIMITS = SessionLimits(statement_timeout=timedelta(minutes=1))
"""The scratch has next to no rows, so what takes longer waits for something that will not come."""

FOLLOWS = "it follows one that could not"
IN_PART = "what it puts off to the migration's end follows one that could not"


def observe(plan: GroupPlan) -> Observed:
    """Try a group's plan on a scratch database, and lint the SQL. Never raises: what could not be seen is said so."""
    if not plan.migrations:
        return Observed()
    try:
        return _observe(plan)
    except Exception as error:
        return Observed(error=_in_words(error))


def _observe(plan: GroupPlan) -> Observed:
    applied = plan.group.applied
    with templates.scratch(_server(plan), applied) as scratch, owner_session(scratch, limits=LIMITS) as connection:
        _bring_to_head(connection, scratch, applied)
        observer = _Observer(connection)
        migrations = [observer.observe(prepared) for prepared in plan.migrations]
        statements = [one.statements for seen in migrations for one in seen]
        linted = lint.check(statements, pg_version=connection.pg_version)
    found = iter(linted.findings)
    return Observed(tuple(tuple(one.with_findings(next(found)) for one in seen) for seen in migrations), linted.notes)


def _server(plan: GroupPlan) -> Server:
    """One of the group's servers: one that has the template of its head, if any has."""
    servers = {tenant.server.pk: tenant.server for tenant in plan.group.tenants}
    ready = Template.objects.filter(
        head_key=key_of(plan.group.applied), state=Template.State.READY, server__in=servers
    ).values_list("server", flat=True)
    return servers[next(iter(ready), next(iter(servers)))]


def _bring_to_head(connection: DatabaseWrapper, scratch: Template, applied: tuple[MigrationKey, ...]) -> None:
    """Where the head has no template, the scratch is a clone of another: run the migrations in between."""
    standing = tuple((app, name) for app, name in scratch.applied)
    if key_of(standing) == key_of(applied):
        return
    observer = _Observer(connection)
    for prepared in Programs(exactly(applied)).for_applied(standing).migrations:
        for operation in observer.observe(prepared):
            if operation.error is not None:
                raise TemplateError(f"their head has none, and {prepared.title} fails: {operation.error}")


class _ListeningEditor(DatabaseSchemaEditor):
    """Remembers the statements that it runs."""

    def __init__(self, connection: DatabaseWrapper) -> None:
        super().__init__(connection, atomic=False)
        self.statements: list[str] = []

    def execute(self, sql: Any, params: Any = ()) -> None:
        composed = str(sql) if params is None else self.connection.ops.compose_sql(str(sql), params)
        self.statements.append(composed)
        super().execute(composed, None)


class _Observer:
    """Runs migrations on the scratch, and asks PostgreSQL after each operation.

    Once an operation could not be run, what follows is not: it would be seen on another schema than tenants will have.
    """

    def __init__(self, connection: DatabaseWrapper) -> None:
        self._connection = connection
        self._in_use = set(locks.tables(connection))
        self._has_failed = False

    def observe(self, prepared: PreparedMigration) -> tuple[Observation, ...]:
        """One observation an operation. Deferred SQL counts for the operation that asked for it."""
        found: list[Observation] = []
        asked: list[tuple[Any, int]] = []
        with _ListeningEditor(self._connection) as editor:
            for number, step in enumerate(prepared.operations):
                found.append(self._operation(editor, prepared, step))
                known = {id(statement) for statement, _ in asked}
                asked += [(statement, number) for statement in editor.deferred_sql if id(statement) not in known]
                if not prepared.migration.atomic:
                    self._run_deferred(editor, found, asked)
            self._run_deferred(editor, found, asked)
        return tuple(found)

    def _operation(self, editor: _ListeningEditor, prepared: PreparedMigration, step: PreparedOperation) -> Observation:
        operation, runs_python = _without_python(step.operation)
        if operation is None:
            return Observation(runs_python=True)
        run = partial(prepared.run, replace(step, operation=operation), editor)
        if not prepared.migration.atomic and self._is_concurrent(operation, backwards=prepared.backwards):
            return self._watch_outside(editor, run)
        return replace(self._watch(editor, run), runs_python=runs_python)

    def _run_deferred(self, editor: _ListeningEditor, found: list[Observation], asked: list[tuple[Any, int]]) -> None:
        waiting = {id(statement) for statement in editor.deferred_sql}
        editor.deferred_sql.clear()
        for statement, number in asked:
            if id(statement) in waiting:
                run = partial(editor.execute, statement, None)
                later = Observation(error=IN_PART) if self._has_failed else self._watch(editor, run)
                found[number] = found[number].and_then(later)

    def _watch(self, editor: _ListeningEditor, run: Callable[[], Any]) -> Observation:
        """Run it in a transaction, and look at what that holds before it ends."""
        connection = self._connection
        if self._has_failed:
            return Observation(error=FOLLOWS)
        editor.statements.clear()
        try:
            with transaction.atomic(using=connection.alias):
                before = locks.tables(connection)
                run()
                held, after = locks.held(connection), locks.tables(connection)
                if held.shared:
                    raise ServerWideError(f"it writes {', '.join(sorted(held.shared))}")
        except Exception as error:
            return self._failure(editor, error)
        return Observation(
            tuple(
                TableLock(
                    table.name,
                    held.tables[oid],
                    rewrites=oid in after and after[oid].filenode != table.filenode,
                    scans=oid in after and after[oid].scans > table.scans,
                )
                for oid, table in before.items()
                if oid in held.tables and oid in self._in_use
            ),
            tuple(editor.statements),
        )

    def _watch_outside(self, editor: _ListeningEditor, run: Callable[[], Any]) -> Observation:
        """Run what cannot be in a transaction. Which tables it is about is seen by their indexes."""
        connection = self._connection
        if self._has_failed:
            return Observation(error=FOLLOWS)
        editor.statements.clear()
        try:
            before = locks.indexes(connection)
            run()
            changed = {table for _, table in before ^ locks.indexes(connection)}
            named = locks.tables(connection)
        except Exception as error:
            return self._failure(editor, error)
        on = sorted(named[oid].name for oid in changed & self._in_use)
        return Observation(tuple(TableLock(name, DOCUMENTED) for name in on), tuple(editor.statements), documented=True)

    def _failure(self, editor: _ListeningEditor, error: Exception) -> Observation:
        self._has_failed = True
        return Observation(statements=tuple(editor.statements), error=_in_words(error))

    def _is_concurrent(self, operation: Operation, *, backwards: bool) -> bool:
        """Whether all that it does is making, dropping or rebuilding indexes concurrently."""
        if not isinstance(operation, RunSQL):
            return isinstance(operation, NotInTransactionMixin)
        sql = operation.reverse_sql if backwards else operation.sql
        statements = self._connection.ops.prepare_sql_script(sql) if isinstance(sql, str) else sql or ()
        return bool(statements) and all(isinstance(one, str) and _CONCURRENTLY.match(one) for one in statements)


def _without_python(operation: Operation) -> tuple[Operation | None, bool]:
    """What of an operation is SQL, and whether it has Python beside; inside SeparateDatabaseAndState too."""
    inside = getattr(operation, "database_operations", [])
    if not inside:
        return (operation, False) if operation.reduces_to_sql else (None, True)
    parts = [_without_python(one) for one in inside]
    kept = copy.copy(operation)
    vars(kept)["database_operations"] = [part for part, _ in parts if part is not None]
    return kept, any(runs_python for _, runs_python in parts)


def _in_words(error: Exception) -> str:
    return (
        f"{type(error).__name__}: {str(error).strip().splitlines()[0]}" if str(error).strip() else type(error).__name__
    )
