"""Sessions with tenants' databases as the server sees them, and a pool of a test's own."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor

from tenants.databases.sessions import maintenance
from tenants.models import Server, Tenant
from tenants.routing.backend.base import DatabaseWrapper
from tenants.routing.connections import runtime_settings
from tenants.routing.pool import SessionPool
from tenants.routing.session import Session
from tenants.routing.slots import Limits
from tests.support.fleet import on_server

ROOMY = Limits(size=5, per_tenant=3, idle_age_s=60, wait_s=5)


@dataclass
class PoolOfTest:
    """A pool with limits of its own, which really connects."""

    pool: SessionPool

    def take(self, tenant: Tenant, **other_params: Any) -> Session:
        params = DatabaseWrapper(runtime_settings(tenant), tenant.alias).get_connection_params() | other_params
        return self.pool.take(tenant.alias, params, lambda: psycopg2.connect(**params))

    def use(self, *tenants: Tenant) -> None:
        """Take a session with each and give it back."""
        for tenant in tenants:
            self.pool.give(self.take(tenant))


def sessions_of(*tenants: Tenant, cursor: Cursor | None = None) -> int:
    """How many sessions the tenants' own roles have, as the server counts; asked with ``cursor`` where it is given."""
    with nullcontext(cursor) if cursor else maintenance(Server.objects.get()) as asking:
        asking.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = ANY(%s)", [[tenant.alias for tenant in tenants]]
        )
        return asking.fetchone()[0]


def end_sessions_of(tenant: Tenant) -> None:
    """As an administrator would; on return they are gone."""
    on_server("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", tenant.alias)
