"""Faults put into one database with PostgreSQL's own means: an event trigger that strikes at the k-th DDL statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tenants.models import Tenant
from tests.support.fleet import as_superuser

_INSTALL = """
    CREATE SCHEMA faults;
    CREATE SEQUENCE faults.ddl;
    GRANT USAGE ON SCHEMA faults TO PUBLIC; GRANT ALL ON SEQUENCE faults.ddl TO PUBLIC;
    CREATE FUNCTION faults.strike() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('faults.ddl') = {at} THEN {act} END IF;
    END $$;
    CREATE EVENT TRIGGER fault ON ddl_command_start {tags} EXECUTE FUNCTION faults.strike();
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
    as_superuser(tenant.alias, _INSTALL.format(at=at, act=act, tags=f"WHEN TAG IN ('{tag}')" if tag else ""))
    try:
        yield
    finally:
        as_superuser(tenant.alias, _REMOVE)
