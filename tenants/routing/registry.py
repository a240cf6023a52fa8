"""Finds tenants in the main database, for the context and for the connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.apps import apps
from django.db import connection as main
from django.db import connections
from django.db.models import QuerySet

from tenants import naming
from tenants.errors import UnknownTenantError
from tenants.models import Tenant
from tenants.routing.connections import close_here, databases
from tenants.routing.pool import process_pool

Result = TypeVar("Result")


class TenantDirectory:
    """The look-ups behind ``use_tenant`` and ``connections[alias]``."""

    def find(self, slug: str) -> Tenant:
        """The tenant with this slug; raises ``UnknownTenantError``."""
        # Nothing that is no slug reaches a query: PostgreSQL itself refuses a NUL with an error of its own.
        tenant = _query(lambda: _tenants().filter(slug=slug).first()) if naming.is_slug(slug) else None
        if tenant is None:
            raise UnknownTenantError(repr(slug), tenant=slug)
        return tenant

    def find_by_alias(self, alias: str) -> Tenant | None:
        tenant_id = naming.tenant_id_of(alias)
        if tenant_id is None or not apps.ready:
            return None
        return _query(lambda: _tenants().filter(pk=tenant_id).first())

    def enter(self, tenant: Tenant) -> None:
        databases().remember(tenant)

    def forget(self, tenant: Tenant) -> None:
        """Know nothing of a tenant that has changed, and keep no session with it. In this process."""
        process_pool().empty(tenant.alias)

    def leave(self, alias: str) -> None:
        close_here(alias)


directory = TenantDirectory()


def _tenants() -> QuerySet[Tenant]:
    return Tenant.objects.using("default").select_related("server")


def _query(run: Callable[[], Result]) -> Result:
    """Run a look-up; in a thread of its own where this one cannot: in async code, or inside a broken transaction."""
    if not _in_event_loop() and not (main.in_atomic_block and main.needs_rollback):
        return run()

    def alone() -> Result:
        try:
            return run()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(alone).result()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
