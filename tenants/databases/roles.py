"""Who may do what in a tenant's database: PostgreSQL's own wall between tenants.

The platform's role owns databases and objects. A NOLOGIN group role per installation has the rights on rows, by grants
and default privileges that stand in the template and survive cloning. Each tenant's role is a member of the group, may
connect to its own database only, and has no DDL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from tenants import naming
from tenants.databases.sessions import is_duplicate
from tenants.routing.credentials import runtime_password

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tenants.models import Tenant

TENANT_CONNECTION_LIMIT = 50
"""How many sessions one tenant may have at once, so that one cannot take all of a server's."""


def ensure_group(cursor: Cursor, installation_id: UUID) -> None:
    """Make the installation's group role where it is missing."""
    _create_if_missing(cursor, naming.group_role(installation_id), sql.SQL("NOLOGIN"))


def ensure_runtime_role(cursor: Cursor, tenant: Tenant, installation_id: UUID, *, password: str | None = None) -> None:
    """Make the tenant's role, or bring the one there is to the same state: password, limits, membership.

    The password is that of the tenant's generation, where no other is given.
    """
    role, group = tenant.alias, sql.Identifier(naming.group_role(installation_id))
    # Only the SCRAM verifier travels: the password itself is in no statement, so in no server log.
    password = password or runtime_password(tenant)
    verifier = encrypt_password(password, role, scope=cursor.connection, algorithm="scram-sha-256")
    attributes = sql.SQL("LOGIN INHERIT NOCREATEDB NOCREATEROLE CONNECTION LIMIT {limit} PASSWORD {verifier}").format(
        limit=sql.Literal(TENANT_CONNECTION_LIMIT), verifier=sql.Literal(verifier)
    )
    if not _create_if_missing(cursor, role, attributes + sql.SQL(" IN ROLE {}").format(group)):
        cursor.execute(sql.SQL("ALTER ROLE {} ").format(sql.Identifier(role)) + attributes)
        cursor.execute(sql.SQL("GRANT {} TO {}").format(group, sql.Identifier(role)))


def close_to_public(cursor: Cursor, database: str) -> None:
    """Take from PUBLIC what every new database gives it. Cloning copies no rights, so this is said for each."""
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))


def open_to_tenant(cursor: Cursor, tenant: Tenant) -> None:
    """Let the tenant's role, and no other, connect to its database."""
    name = sql.Identifier(tenant.alias)
    cursor.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(name, name))


def grant_in_template(cursor: Cursor, installation_id: UUID) -> None:
    """Inside a new template: the group's rights on what is there and on what migrations will make. Cloned with it."""
    group = sql.Identifier(naming.group_role(installation_id))
    for statement in (
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO {}",
        # Who could write the records of migrations could have a migration left out, or run twice.
        "GRANT SELECT ON django_migrations TO {}",
        "GRANT USAGE ON SCHEMA silo TO {}",
        "GRANT SELECT ON silo.facts TO {}",
    ):
        cursor.execute(sql.SQL(statement).format(group))


def drop_role(cursor: Cursor, role: str) -> None:
    """Drop a role whose database has gone."""
    cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def _create_if_missing(cursor: Cursor, role: str, attributes: sql.Composable) -> bool:
    """Whether this call made it. Asking first keeps the server's log free of errors that are none."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    if cursor.fetchone():
        return False
    try:
        cursor.execute(sql.SQL("CREATE ROLE {} ").format(sql.Identifier(role)) + attributes)
    except psycopg2.Error as error:
        if not is_duplicate(error):
            raise
        return False
    return True
