"""Faults put into one database by PostgreSQL's own means: an event trigger that strikes at the k-th DDL statement, and
a gate at which a migration waits, so that no test sleeps and hopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from tenants.databases.sessions import owner_session, poll
from tenants.models import Tenant
from tests.support.fleet import as_owner, as_superuser

_INSTALL = """
    CREATE SCHEMA faults;
    CREATE SEQUENCE faults.ddl;
    GRANT USAGE ON SCHEMA faults TO PUBLIC; GRANT ALL ON SEQUENCE faults.ddl TO PUBLIC;
    CREATE FUNCTION faults.strike() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('faults.ddl') = {at} THEN {act} END IF;
    END $$;
    CREATE EVENT TRIGGER fault ON {when} {tags} EXECUTE FUNCTION faults.strike();
"""
_REMOVE = "DROP EVENT TRIGGER IF EXISTS fault; DROP SCHEMA IF EXISTS faults CASCADE"


@contextmanager
def fault_at_ddl(tenant: Tenant, at: int, *, sqlstate: str | None = None, tag: str = "") -> Iterator[None]:
    """At the ``at``-th DDL statement in this tenant raise an error with ``sqlstate``; without one, end the session.

    ``tag`` counts statements of one kind only, such as ``ALTER TABLE``. (DROP INDEX CONCURRENTLY suffers no trigger.)
    """
    act = (
        f"RAISE EXCEPTION 'struck' USING ERRCODE = '{sqlstate}';"
        if sqlstate
        else "PERFORM pg_terminate_backend(pg_backend_pid());"
    )
    with _event_trigger(tenant, at, act, when="ddl_command_start", tags=f"WHEN TAG IN ('{tag}')" if tag else ""):
        yield


@contextmanager
def _event_trigger(tenant: Tenant, at: int, act: str, *, when: str, tags: str = "") -> Iterator[None]:
    install = _INSTALL.format(at=at, act=act, when=when, tags=tags)
    as_superuser(tenant.alias, install, server=tenant.server)
    try:
        yield
    finally:
        as_superuser(tenant.alias, _REMOVE, server=tenant.server)


@contextmanager
def counted_ddl(tenant: Tenant) -> Iterator[Callable[[], int]]:
    """Count the DDL statements in this tenant while inside; gives what tells how many there were so far."""
    with _event_trigger(tenant, 0, "", when="ddl_command_end"):
        # A sequence that was never asked stands at 1, and says that nobody called it.
        asked = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM faults.ddl"
        yield lambda: int(as_owner(tenant, asked)[0][0])


GATE = 27262
WAITS_AT_THE_GATE = f"""
def forwards(apps, schema_editor):
    if schema_editor.connection.alias.startswith("tenant_"):
        schema_editor.execute("SET LOCAL lock_timeout = 0")
        schema_editor.execute("SELECT pg_advisory_xact_lock({GATE})")
"""
"""Code for a migration that stops in each tenant while that tenant's gate is closed."""


@contextmanager
def closed_gate(tenant: Tenant) -> Iterator[Callable[[], None]]:
    """Hold up ``WAITS_AT_THE_GATE`` in one tenant while inside; gives what waits until somebody stands there."""
    with owner_session(tenant) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [GATE])

        def somebody_waits() -> bool:
            # Other tests may have gates of their own, in other databases.
            cursor.execute(
                "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database "
                "WHERE datname = current_database() AND objid = %s AND NOT granted",
                [GATE],
            )
            return cursor.fetchone() is not None

        def wait() -> None:
            assert poll(somebody_waits, timedelta(seconds=30)), "no rollout ever came to the gate"

        yield wait


@contextmanager
def gate_after_ddl(tenant: Tenant, at: int) -> Iterator[Callable[[], None]]:
    """Hold up whoever has done the ``at``-th DDL statement here, before it does more; gives what waits for that."""
    act = f"PERFORM set_config('lock_timeout', '0', true); PERFORM pg_advisory_xact_lock({GATE});"
    with _event_trigger(tenant, at, act, when="ddl_command_end"), closed_gate(tenant) as wait:
        yield wait


def migrate_tenants_killed_where(condition: str) -> str:
    """Code that runs `migrate_tenants`, killed before the first commit in a tenant at which this SQL is true."""
    return f"""
import os, signal, sys
import django
django.setup()
from django.core.management import call_command
from tenants.routing.backend.base import DatabaseWrapper
commit = DatabaseWrapper._commit
def die_or_commit(connection):
    if connection.alias.startswith("tenant_"):
        with connection.cursor() as cursor:
            cursor.execute({condition!r})
            if cursor.fetchone()[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    commit(connection)
DatabaseWrapper._commit = die_or_commit
call_command("migrate_tenants", *sys.argv[1:])
"""
