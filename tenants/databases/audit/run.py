"""The whole audit: servers first, then tenant after tenant, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import psycopg2
from django.db import DatabaseError, connections

from tenants.databases.audit.attempts import try_at_home, try_elsewhere
from tenants.databases.audit.finding import Finding, Findings, settle
from tenants.databases.audit.inside import look_inside
from tenants.databases.audit.server import audit_server
from tenants.databases.in_parallel import in_parallel
from tenants.databases.refusal import why_refused
from tenants.databases.sessions import MAINTENANCE_DATABASE, owner_session
from tenants.errors import TenantError
from tenants.models import Installation, Server, Template, Tenant
from tenants.routing.connections import is_mains

if TYPE_CHECKING:
    from tenants.routing.backend.base import DatabaseWrapper

Elsewhere = list[tuple[str, str]]
"""Names of databases that a tenant's role must not reach, and what they are called."""


def audit(
    tenants: Sequence[Tenant], *, whole: bool, fix: bool, workers: int, on_tenant: Callable[[], None] = lambda: None
) -> Findings:
    """Look at these tenants; where they are the ``whole`` fleet, also for what no tenant owns. Mend with ``fix``."""
    servers = Server.objects.all() if whole else {tenant.server for tenant in tenants}
    found = Findings()
    for server in sorted(servers, key=lambda server: server.name):
        there = [tenant for tenant in tenants if tenant.server_id == server.pk]
        found += _of_server(server, there, leftovers=whole, fix=fix)
    elsewhere = _elsewhere(tenants)
    look = partial(_of_tenant, elsewhere=elsewhere, installation=Installation.current(), fix=fix)
    for tenant, of_tenant in in_parallel(look, tenants, workers=workers):
        if isinstance(of_tenant, Exception):
            of_tenant = Findings(left=(_unasked(tenant.slug, of_tenant),))
        found += of_tenant
        on_tenant()
    return found


def _of_server(server: Server, tenants: Sequence[Tenant], *, leftovers: bool, fix: bool) -> Findings:
    try:
        return audit_server(server, tenants, leftovers=leftovers, fix=fix)
    except psycopg2.Error as error:
        return Findings(left=(_unasked(server.name, error),))


def _of_tenant(
    tenant: Tenant, *, elsewhere: dict[Tenant, Elsewhere], installation: Installation, fix: bool
) -> Findings:
    def look() -> list[Finding]:
        found = try_elsewhere(tenant, elsewhere[tenant])
        if tenant.state == Tenant.State.ACTIVE:
            found += look_inside(owner, tenant, installation.id) + try_at_home(tenant)
        return found

    with owner_session(tenant, application_name="silo audit") as owner:
        try:
            return settle(look, partial(_execute, owner), fix=fix)
        except (psycopg2.Error, DatabaseError, TenantError) as error:
            return Findings(left=(_unasked(tenant.slug, why_refused(tenant, owner, error) or error),))


def _execute(owner: DatabaseWrapper, statement: str) -> None:
    with owner.cursor() as cursor:
        cursor.execute(statement)


def _unasked(subject: str, error: Exception) -> Finding:
    return Finding(f"it cannot be looked into: {type(error).__name__}", subject, why_not=str(error).strip())


def _elsewhere(tenants: Sequence[Tenant]) -> dict[Tenant, Elsewhere]:
    """Of each tenant the databases on its server that it must not reach; another tenant's is its neighbour's."""
    found: dict[Tenant, Elsewhere] = {}
    for server in {tenant.server for tenant in tenants}:
        shared = _shared(server)
        there = [tenant for tenant in tenants if tenant.server_id == server.pk]
        for tenant, neighbour in zip(there, [*there[1:], there[0]], strict=True):
            other = neighbour if neighbour != tenant else _another(tenant)
            found[tenant] = [*shared, *([(other.alias, "another tenant's database")] if other else [])]
    return found


def _shared(server: Server) -> Elsewhere:
    template = Template.objects.filter(server=server, state=Template.State.READY).first()
    main = str(connections["default"].settings_dict["NAME"])
    return [
        (MAINTENANCE_DATABASE, MAINTENANCE_DATABASE),
        ("template1", "template1"),
        *([(main, "the main database")] if is_mains(server) else []),
        *([(template.name, "the template")] if template else []),
    ]


def _another(tenant: Tenant) -> Tenant | None:
    return Tenant.objects.filter(server=tenant.server, state=Tenant.State.ACTIVE).exclude(pk=tenant.pk).first()
