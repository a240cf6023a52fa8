"""What a tenant's database says of itself: its applied migrations, and Silo's notes in the schema ``silo``.

It is the truth about what is applied; the ledger in main only reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

if TYPE_CHECKING:
    from uuid import UUID

MigrationKey = tuple[str, str]
"""A migration: its app's label and its name."""

TENANT = "tenant"
POST_MIGRATE_DUE = "post_migrate_due"

_READ = """
    SELECT 0, id, app, name FROM public.django_migrations
    UNION ALL SELECT 1, 0, name, value FROM silo.facts
    ORDER BY 1, 2
"""
# Two statements and one round trip. The second has a snapshot of its own, taken when the lock is held, or not.
_LOCK_AND_READ = """
    SELECT set_config('silo.has_lock', pg_try_advisory_lock(%s)::text, false);
    SELECT 0, id, app, name FROM public.django_migrations
    UNION ALL SELECT 1, 0, name, value FROM silo.facts
    UNION ALL SELECT 2, 0, '', current_setting('silo.has_lock')
    ORDER BY 1, 2
"""
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


def install(connection: BaseDatabaseWrapper) -> None:
    """Make Django's table of migrations and Silo's notes, in a database that has neither."""
    MigrationRecorder(connection).ensure_schema()
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS silo")
        cursor.execute("CREATE TABLE IF NOT EXISTS silo.facts (name text PRIMARY KEY, value text NOT NULL)")


def read(connection: BaseDatabaseWrapper) -> Facts:
    """Everything in one SELECT."""
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        return _facts(cursor.fetchall())


def read_under_lock(connection: BaseDatabaseWrapper, lock: int) -> Facts | None:
    """Take an advisory lock, without waiting, and read, in one round trip; None where another session has the lock."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_AND_READ, [lock])
        rows = cursor.fetchall()
    return _facts(rows) if rows[-1][3] == "true" else None


def _facts(rows: list[tuple[int, int, str, str]]) -> Facts:
    return Facts(
        applied=tuple((app, name) for kind, _, app, name in rows if kind == 0),
        notes={name: value for kind, _, name, value in rows if kind == 1},
    )


def record_applied(connection: BaseDatabaseWrapper, key: MigrationKey) -> None:
    """Django's record of a migration. (Its recorder asks the catalog for the table each time, which is slow.)"""
    _run(connection, "INSERT INTO public.django_migrations (app, name, applied) VALUES (%s, %s, now())", *key)


def record_unapplied(connection: BaseDatabaseWrapper, key: MigrationKey) -> None:
    _run(connection, "DELETE FROM public.django_migrations WHERE app = %s AND name = %s", *key)


def note(connection: BaseDatabaseWrapper, name: str, value: str = "") -> None:
    _run(
        connection,
        "INSERT INTO silo.facts (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
        name,
        value,
    )


def erase(connection: BaseDatabaseWrapper, name: str) -> None:
    _run(connection, "DELETE FROM silo.facts WHERE name = %s", name)


def erase_late(connection: BaseDatabaseWrapper, name: str) -> None:
    """Erase outside any transaction, and do not wait until it is on the disk: after a crash it may be there again."""
    _run(connection, _ERASE_LATE, name)


def stamp_identity(connection: BaseDatabaseWrapper, tenant_id: UUID) -> None:
    """Write into a tenant's database whose it is."""
    note(connection, TENANT, str(tenant_id))


def _run(connection: BaseDatabaseWrapper, statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
