"""Sessions of the platform's role: the owner of tenant databases, and the only one with the right to DDL."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import psycopg2
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg2 import errorcodes
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from tenants.context import acting_on
from tenants.errors import DatabaseMissingError, TenantBusyError
from tenants.routing.backend.base import DatabaseWrapper
from tenants.routing.connections import CONNECT_TIMEOUT_S, address_of, databases, with_defaults

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg2.extensions import cursor as Cursor

    from tenants.models import Server

MAINTENANCE_DATABASE = "postgres"
CHANGE_LOCK = 0x5110
"""Key of the advisory lock on changing a database. These locks are per database: tenants never wait on each other."""

LOCK_WAIT = timedelta(seconds=15)
"""How long to wait for another session's change. A killed client's session takes up to 6 s to be noticed."""


class Database(Protocol):
    """A tenant or a template: what has an alias, and a server where it is."""

    @property
    def alias(self) -> str: ...

    @property
    def slug(self) -> str: ...

    @property
    def server(self) -> Server: ...


@dataclass(frozen=True)
class SessionLimits:
    """Limits of a session that migrates. They stand in the start-up packet, so no statement runs before they hold."""

    lock_timeout: timedelta = timedelta(seconds=2)
    statement_timeout: timedelta = timedelta(minutes=15)
    idle_in_transaction_timeout: timedelta = timedelta(minutes=10)
    read_only: bool = False

    def as_options(self) -> str:
        """For libpq's ``options``."""
        settings = {
            "TimeZone": "UTC",
            # Not '"$user", public': a platform's role that is called silo would make its tables beside Silo's notes.
            "search_path": "public",
            "lock_timeout": _ms(self.lock_timeout),
            "statement_timeout": _ms(self.statement_timeout),
            "idle_in_transaction_session_timeout": _ms(self.idle_in_transaction_timeout),
            # The server looks whether its client still lives, so that a killed rollout's locks go within seconds.
            "client_connection_check_interval": "2s",
        }
        if self.read_only:
            settings["default_transaction_read_only"] = "on"
        return " ".join(f"-c {name}={value}" for name, value in settings.items())


@contextmanager
def owner_session(
    database: Database, *, limits: SessionLimits | None = None, application_name: str = "silo"
) -> Iterator[DatabaseWrapper]:
    """The owner's connection to a database, which stands at ``connections[alias]`` in this thread while inside.

    Migration recorders, RunPython and signal receivers reach the database by ``connections[alias]``, whatever they
    were given: were another connection there, DDL could roll back while its record stays. The database is current
    inside. Connects on first use.
    """
    alias, opened = database.alias, databases().open_here()
    with acting_on(database):
        before = connections[alias] if alias in opened else None
        settings = _owner_settings(database, limits or SessionLimits(), application_name)
        owner = DatabaseWrapper(settings, alias, is_pooled=False)
        connections[alias] = owner
        try:
            yield owner
        finally:
            owner.close()
            if before is not None:
                connections[alias] = before
            else:
                del connections[alias]
                opened.discard(alias)


@contextmanager
def maintenance(server: Server) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor on a server, outside any tenant, in autocommit: for CREATE DATABASE, roles and the like."""
    host, port = address_of(server)
    main = connections["default"].settings_dict
    session = psycopg2.connect(
        dbname=MAINTENANCE_DATABASE,
        user=main["USER"] or None,
        password=main["PASSWORD"] or None,
        host=host or None,
        port=port or None,
        application_name="silo maintenance",
        **_patience(),
        # The maker of a role may end its sessions only where it inherits from it (PostgreSQL 16 and later).
        options="-c createrole_self_grant=inherit",
    )
    try:
        session.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with session.cursor() as cursor:
            yield cursor
    finally:
        session.close()


def cancel_statements(server: Server, application_name: str) -> None:
    """Cancel what the sessions of that name are running on a server: it fails with 57014 and is rolled back."""
    with maintenance(server) as cursor:
        cursor.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [application_name]
        )


def take_change_lock(connection: BaseDatabaseWrapper, *, wait: timedelta = LOCK_WAIT) -> None:
    """Be the only one who changes this database, until the session ends; raises ``TenantBusyError`` after ``wait``.

    The lock is on the session that does the work, and goes with it. It is polled: a session blocked in
    ``pg_advisory_lock`` holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for that for ever.
    """

    def try_lock() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [CHANGE_LOCK])
            return bool(cursor.fetchone()[0])

    if not poll(try_lock, wait):
        raise TenantBusyError(f"{connection.alias} is being changed by another session", alias=connection.alias)


def take_server_lock(cursor: Cursor, kind: int, subject: UUID, *, wait: timedelta) -> bool:
    """Be the only one on a server who does this kind of work on this subject, until the maintenance session ends.

    Whether it was got within ``wait``. It is polled, and goes with the session, so a killed holder blocks nobody long.
    """

    def try_lock() -> bool:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [kind, subject.int & 0x7FFFFFFF])
        locked = cursor.fetchone()
        return bool(locked and locked[0])

    return poll(try_lock, wait)


def poll(attempt: Callable[[], bool], wait: timedelta) -> bool:
    """Try until it succeeds or ``wait`` is over, with growing pauses and some jitter."""
    deadline = time.monotonic() + wait.total_seconds()
    pause_s = 0.02
    while not attempt():
        if time.monotonic() > deadline:
            return False
        time.sleep(random.uniform(0.5, 1) * pause_s)
        pause_s = min(pause_s * 1.5, 0.5)
    return True


def require_exists(database: Database) -> None:
    """Raise ``DatabaseMissingError`` where the server has no such database. It is never silently made again."""
    with maintenance(database.server) as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database.alias])
        if cursor.fetchone() is None:
            where = f"{database.slug}: {database.alias} is not on {database.server}"
            raise DatabaseMissingError(where, alias=database.alias)


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE behind an error: Django's, psycopg2's or one of ours; None where the server sent none."""
    seen: BaseException | None = error
    while seen is not None:
        code = getattr(seen, "pgcode", None) or getattr(seen, "sqlstate", None)
        if code:
            return str(code)
        seen = seen.__cause__
    return None


def is_duplicate(error: psycopg2.Error) -> bool:
    """Whether a CREATE failed because another session, or an earlier try, has made it; a race gives either code."""
    return error.pgcode in {errorcodes.DUPLICATE_DATABASE, errorcodes.DUPLICATE_OBJECT, errorcodes.UNIQUE_VIOLATION}


def _owner_settings(database: Database, limits: SessionLimits, application_name: str) -> dict[str, Any]:
    host, port = address_of(database.server)
    main = connections["default"].settings_dict
    return with_defaults(
        NAME=database.alias,
        USER=main["USER"],
        PASSWORD=main["PASSWORD"],
        HOST=host,
        PORT=port,
        OPTIONS={
            **_patience(),
            "application_name": application_name[:63],
            "options": limits.as_options(),
        },
    )


def _patience() -> dict[str, int]:
    """How long to wait for a server that does not answer, or a network that is gone."""
    return {"connect_timeout": CONNECT_TIMEOUT_S, "keepalives_idle": 15, "tcp_user_timeout": 30_000}


def _ms(duration: timedelta) -> str:
    return f"{int(duration.total_seconds() * 1000)}ms"
