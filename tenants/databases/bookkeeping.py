"""What a tenant's database says of itself: its applied migrations, and Silo's notes in the schema ``silo``.

It is the truth about what is applied; the ledger in main only reports.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

if TYPE_CHECKING:
    from uuid import UUID

MigrationKey = tuple[str, str]
"""A migration: its app's label and its name."""

TENANT = "tenant"
POST_MIGRATE_DUE = "post_migrate_due"
STEP = "step"
"""The note of how far a non-atomic migration is."""

# COPY, since it plans nothing: in a session as short as these, preparing a SELECT costs PostgreSQL more than the rest.
_APPLIED = "COPY public.django_migrations (id, app, name) TO STDOUT (FORMAT csv)"
_NOTES = "COPY silo.facts (name, value) TO STDOUT (FORMAT csv)"
# What is erased late is only noted again; so the tenant does not wait for the disk once more.
_ERASE_LATE = "BEGIN; SET LOCAL synchronous_commit = off; DELETE FROM silo.facts WHERE name = %s; COMMIT"


@dataclass(frozen=True)
class Facts:
    """One look at a database: ``applied`` in the order of recording, and the notes."""

    applied: tuple[MigrationKey, ...]
    notes: dict[str, str]

    @property
    def tenant_id(self) -> str | None:
        """The id of the tenant whose database this is; None in a template."""
        return self.notes.get(TENANT)

    @property
    def post_migrate_due(self) -> bool:
        """Whether a run was cut off after a migration and before the ``post_migrate`` receivers had run."""
        return POST_MIGRATE_DUE in self.notes

    @property
    def cut_off(self) -> tuple[MigrationKey, bool] | None:
        """The non-atomic migration that an earlier run left half done, and whether it was taking it back.

        None where somebody has finished it by hand, and its record with it.
        """
        if STEP not in self.notes:
            return None
        noted = json.loads(self.notes[STEP])
        app, _, name = noted["migration"].partition(".")
        is_half_done = ((app, name) in self.applied) == noted["backwards"]
        return ((app, name), noted["backwards"]) if is_half_done else None


def install(connection: BaseDatabaseWrapper) -> None:
    """Make Django's table of migrations and Silo's notes, in a database that has neither."""
    MigrationRecorder(connection).ensure_schema()
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS silo")
        cursor.execute("CREATE TABLE IF NOT EXISTS silo.facts (name text PRIMARY KEY, value text NOT NULL)")


def read(connection: BaseDatabaseWrapper) -> Facts:
    """What the database says of itself.

    The notes are read last: a migration and the note that ``post_migrate`` is due are committed together, so whoever
    sees the one sees the other.
    """
    with connection.cursor() as cursor, connection.wrap_database_errors:
        applied = _copy(cursor, _APPLIED)
        notes = {row[0]: row[1] for row in _copy(cursor, _NOTES)}
    in_order = sorted((int(number), app, name) for number, app, name in applied)
    return Facts(_shared(tuple((app, name) for _, app, name in in_order)), notes)


@lru_cache(maxsize=256)
def _shared(applied: tuple[MigrationKey, ...]) -> tuple[MigrationKey, ...]:
    """The first tuple that was equal to this: a group's tenants have one, not 17 kB each."""
    return applied


def _copy(cursor: Any, statement: str) -> list[list[str]]:
    rows = io.StringIO()
    cursor.copy_expert(statement, rows)
    rows.seek(0)
    return list(csv.reader(rows))


class Writer(Protocol):
    """A cursor, or a schema editor, whose statements are taken down."""

    def execute(self, sql: str, params: Any) -> Any: ...


def record_applied(writer: Writer, key: MigrationKey) -> None:
    """Django's record of a migration. (Its recorder asks the catalog for the table each time, which is slow.)"""
    writer.execute("INSERT INTO public.django_migrations (app, name, applied) VALUES (%s, %s, now())", key)


def record_unapplied(writer: Writer, key: MigrationKey) -> None:
    writer.execute("DELETE FROM public.django_migrations WHERE app = %s AND name = %s", key)


def note(writer: Writer, name: str, value: str = "") -> None:
    writer.execute(
        "INSERT INTO silo.facts (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
        [name, value],
    )


def erase(writer: Writer, name: str) -> None:
    writer.execute("DELETE FROM silo.facts WHERE name = %s", [name])


def erase_late(writer: Writer, name: str) -> None:
    """Erase outside any transaction, and do not wait until it is on the disk: after a crash it may be there again."""
    writer.execute(_ERASE_LATE, [name])


def stamp_identity(writer: Writer, tenant_id: UUID) -> None:
    """Write into a tenant's database whose it is."""
    note(writer, TENANT, str(tenant_id))
