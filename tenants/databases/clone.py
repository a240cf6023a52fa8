"""Databases on a server: made by cloning, and dropped."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import errorcodes, sql

from tenants.databases.roles import close_to_public
from tenants.databases.sessions import poll

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

EMPTY = "template0"
TEMPLATE_WAIT = timedelta(seconds=60)


def clone(cursor: Cursor, source: str, name: str) -> None:
    """Make the database ``name`` as a copy of ``source``, closed to everyone. Nothing is done where it is there.

    CREATE DATABASE shows its row only when the copy is whole, so one that is there is whole. Rights, settings and
    limits are not copied: connections stay forbidden until ``open_connections``.
    """
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} ALLOW_CONNECTIONS false").format(
        sql.Identifier(name), sql.Identifier(source)
    )

    def try_clone() -> bool:
        if exists(cursor, name):
            return True
        try:
            cursor.execute(statement)
        except psycopg2.Error as error:
            # 55006: a session is in the source, such as an autovacuum worker; it is gone soon. The others: a race for
            # the name; look again.
            if error.pgcode in {
                errorcodes.OBJECT_IN_USE,
                errorcodes.DUPLICATE_DATABASE,
                errorcodes.UNIQUE_VIOLATION,
            }:
                return False
            raise
        return True

    if not poll(try_clone, TEMPLATE_WAIT):
        raise TimeoutError(f"{source} stayed in use for {TEMPLATE_WAIT.total_seconds():.0f} s")
    close_to_public(cursor, name)


def exists(cursor: Cursor, name: str) -> bool:
    """Whether there is a usable database of this name. One whose DROP was cut off can only be dropped, and is."""
    cursor.execute("SELECT datconnlimit FROM pg_database WHERE datname = %s", [name])
    found = cursor.fetchone()
    if found is not None and found[0] == -2:
        drop(cursor, name)
        return False
    return found is not None


def open_connections(cursor: Cursor, name: str) -> None:
    cursor.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))


def close_connections(cursor: Cursor, name: str) -> None:
    """Forbid new sessions, then end those there are: they would survive otherwise.

    An autovacuum worker has no role, and only a superuser may end it (42501). It is left to end by itself.
    """
    cursor.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usesysid IS NOT NULL", [name]
    )


def drop(cursor: Cursor, name: str) -> None:
    """Drop a database and end its sessions. Harmless where there is none; a DROP that was cut off is done again."""
    cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
