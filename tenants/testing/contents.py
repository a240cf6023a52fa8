"""What a new tenant's database holds, so that each test finds one that is as good as new."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from django.db import transaction
from psycopg2 import sql

from tenants.databases.sessions import owner_session

if TYPE_CHECKING:
    from tenants.models import Tenant

_SEQUENCES = """
    SELECT format('%I.%I', schemaname, sequencename), start_value, last_value FROM pg_sequences
    WHERE schemaname = 'public'
"""


@dataclass(frozen=True)
class Contents:
    """The rows that migrations made, and where the sequences stand.

    A TRUNCATE of all tables would take away what migrations, and receivers of ``post_migrate``, put there.
    """

    rows: dict[str, str]
    """By table, as COPY writes them; only of tables that have any."""
    sequences: dict[str, int | None]
    """The last value of each; None of one that was never asked."""

    @classmethod
    def of(cls, tenant: Tenant) -> Contents:
        with owner_session(tenant) as connection, connection.cursor() as cursor:
            rows = {table: _copied_out(cursor, table) for table in _that_have_rows(cursor)}
            cursor.execute(_SEQUENCES)
            return cls(rows, {name: last for name, _, last in cursor.fetchall()})

    def put_back(self, tenant: Tenant) -> None:
        """Make them the tenant's again. What a test did to the schema stays; a table that it made is emptied."""
        # One transaction: keys between tables are checked at its end.
        with (
            owner_session(tenant) as connection,
            transaction.atomic(using=connection.alias),
            connection.cursor() as cursor,
        ):
            if touched := _that_have_rows(cursor):
                cursor.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(map(sql.Identifier, touched))))
            for table, rows in self.rows.items():
                cursor.copy_expert(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table)), StringIO(rows))
            cursor.execute(_SEQUENCES)
            for name, start, last in cursor.fetchall():
                fresh = self.sequences.get(name)
                if last != fresh:
                    cursor.execute("SELECT setval(%s, %s, %s)", [name, fresh or start, fresh is not None])


def _that_have_rows(cursor: Any) -> list[str]:
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'django_migrations'")
    tables = [table for (table,) in cursor.fetchall()]
    if not tables:
        return []
    asked = sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})")
    each = [asked.format(sql.Literal(table), sql.Identifier(table)) for table in tables]
    cursor.execute(sql.SQL(" UNION ALL ").join(each))
    return [table for (table,) in cursor.fetchall()]


def _copied_out(cursor: Any, table: str) -> str:
    written = StringIO()
    cursor.copy_expert(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table)), written)
    return written.getvalue()
