"""What a tenant's role can do, tried: catalogs say what should be refused, and only a refusal says that it is."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errorcodes

from tenants.databases.audit.finding import Finding
from tenants.databases.refusal import refusal_of
from tenants.databases.rotation import mend_password
from tenants.routing.connections import CONNECT_TIMEOUT_S, address_of
from tenants.routing.credentials import runtime_password

if TYPE_CHECKING:
    from tenants.models import Tenant

FORBIDDEN = {
    "CREATE TABLE": "CREATE TABLE public.silo_audit ()",
    "CREATE TABLE in silo": "CREATE TABLE silo.silo_audit ()",
    "CREATE SCHEMA": "CREATE SCHEMA silo_audit",
    "write the records of migrations": "DELETE FROM public.django_migrations WHERE false",
    "write Silo's notes": "DELETE FROM silo.facts WHERE false",
}
ALLOWED = {"make temporary tables": "CREATE TEMPORARY TABLE silo_audit ()"}

WRONG_PASSWORD = {errorcodes.INVALID_PASSWORD, errorcodes.INVALID_AUTHORIZATION_SPECIFICATION}

DENIED = {
    errorcodes.INVALID_AUTHORIZATION_SPECIFICATION,  # pg_hba.conf
    errorcodes.INVALID_PASSWORD,
    errorcodes.INSUFFICIENT_PRIVILEGE,
    errorcodes.OBJECT_NOT_IN_PREREQUISITE_STATE,  # it takes no connections
    errorcodes.INVALID_CATALOG_NAME,
}


def try_at_home(tenant: Tenant) -> list[Finding]:
    """Log in to its own database as its role, and try what it may and may not do there. Nothing stays."""
    mend = partial(mend_password, tenant)
    if tenant.credentials_pending_key:
        return [Finding("its password is being rotated, or that was cut off", tenant.slug, mend=mend)]
    parameters = _as_its_role(tenant, tenant.alias)
    is_refused, sqlstate = refusal_of(parameters)
    if is_refused:
        problem = f"its role cannot log in ({sqlstate or 'no answer'})"
        return [Finding(problem, tenant.slug, mend=mend if sqlstate in WRONG_PASSWORD else None)]
    with closing(psycopg2.connect(**parameters)) as session:
        can = [what for what, statement in FORBIDDEN.items() if _works(session, statement)]
        cannot = [what for what, statement in ALLOWED.items() if not _works(session, statement)]
    found = [Finding(f"its role can {what}", tenant.slug) for what in can]
    return found + [Finding(f"its role cannot {what}", tenant.slug) for what in cannot]


def try_elsewhere(tenant: Tenant, databases: Iterable[tuple[str, str]]) -> list[Finding]:
    """Log in as its role to databases that are not its own, each with what it is called in the finding."""
    found = []
    for name, title in databases:
        is_refused, sqlstate = refusal_of(_as_its_role(tenant, name))
        if not is_refused:
            found.append(Finding(f"its role can log in to {title}", tenant.slug))
        elif sqlstate not in DENIED:
            found.append(Finding(f"it could not be tried whether its role can log in to {title}", tenant.slug))
    return found


def _as_its_role(tenant: Tenant, database: str) -> dict[str, Any]:
    host, port = address_of(tenant.server)
    return {
        "host": host or None,
        "port": port or None,
        "dbname": database,
        "user": tenant.alias,
        "password": runtime_password(tenant),
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "silo audit",
    }


def _works(session: Any, statement: str) -> bool:
    try:
        with session.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.errors.InsufficientPrivilege:
        return False
    finally:
        session.rollback()
    return True
