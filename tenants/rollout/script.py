"""The SQL of a migration, taken down in the first database of a group and replayed in the others.

Most migrations make the same SQL in every database of a group: working it out takes Django as long as PostgreSQL takes
to carry it out, and each statement is a round trip. So the first database is migrated by Django's own operations while
their SQL is taken down, and the others get it as one. What may differ between databases is never replayed: an
operation that asks the database anything (names of constraints), that runs Python or is not Django's own, and a default
that is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from django.db import models, transaction
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.migrations.operations import RunSQL, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation

from tenants.routing.backend.base import DatabaseWrapper

SCHEMA_OPERATIONS = ("django.db.migrations.operations.models", "django.db.migrations.operations.fields")
"""The modules of Django's operations that only change the schema: they fit a transaction, and leave states alone."""

EMPTY_CONTAINERS = (dict, list)
"""Callable defaults that give the same for every tenant, and that many fields have."""


class Script:
    """One migration's transaction as text, by the server's major version. Shared by threads; the first fills it."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

    def replay(self, connection: DatabaseWrapper) -> bool:
        """Run it, in one round trip and one transaction; False where it has not been taken down, or never can be."""
        text = self._texts.get(_version(connection))
        if text is None:
            return False
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(text)
        return True

    def keep(self, connection: DatabaseWrapper, editor: RecordingEditor) -> None:
        """Take over what an editor saw in a transaction that has been committed."""
        if editor.is_same_everywhere:
            # The line break ends a comment at the end of a statement of RunSQL.
            self._texts[_version(connection)] = "\n;\n".join(editor.statements)


class RecordingEditor(DatabaseSchemaEditor):
    """Django's editor for one transaction, which sees what it runs, and whether that could differ elsewhere."""

    def __init__(self, connection: DatabaseWrapper, operations: Iterable[Operation]) -> None:
        super().__init__(connection, atomic=True)
        self.statements: list[str] = []
        self.is_same_everywhere = all(_only_makes_sql(operation) for operation in operations)
        self._executes = False
        self._watch: AbstractContextManager[Any] = connection.execute_wrapper(self._see)

    def __enter__(self) -> RecordingEditor:
        super().__enter__()
        self._watch.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._watch.__exit__(*error)
        super().__exit__(*error)

    def execute(self, sql: Any, params: Any = ()) -> None:
        text = str(sql) if params is None else self.connection.ops.compose_sql(str(sql), params)
        self._executes = True
        try:
            super().execute(text, None)
        finally:
            self._executes = False
        self.statements.append(text)

    def effective_default(self, field: models.Field[Any, Any]) -> Any:
        if not _is_constant(field):
            self.is_same_everywhere = False
        return super().effective_default(field)

    def _see(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not self._executes:
            # Whatever was asked, the answer may differ in another database.
            self.is_same_everywhere = False
        return execute(sql, params, many, context)


def _only_makes_sql(operation: Operation) -> bool:
    if type(operation) is SeparateDatabaseAndState:
        return all(_only_makes_sql(inside) for inside in operation.database_operations)
    if type(operation) is RunSQL:
        # A router reads hints, and may have it run in some databases only.
        return not operation.hints
    return type(operation).__module__ in SCHEMA_OPERATIONS


def _is_constant(field: models.Field[Any, Any]) -> bool:
    """Whether the field's default is the same whenever and wherever it is asked. A field that is not Django's own may
    store a default in a way of its own, as one that encrypts does.
    """
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return False
    is_computed = callable(field.default) and field.default not in EMPTY_CONTAINERS
    return not is_computed and type(field).__module__.startswith("django.")


def _version(connection: DatabaseWrapper) -> int:
    return connection.pg_version // 10_000
