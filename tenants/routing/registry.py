"""Finds tenants in the main database, for the context and for the connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID

from django.apps import apps
from django.db import connection as main
from django.db import connections, transaction
from django.db.models import QuerySet
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from tenants import naming
from tenants.errors import UnknownTenantError
from tenants.models import Tenant
from tenants.routing.cache import TenantCache
from tenants.routing.connections import close_here, databases, take_up
from tenants.routing.news import Change, News
from tenants.routing.pool import process_pool

Result = TypeVar("Result")


class TenantDirectory:
    """The look-ups behind ``use_tenant`` and ``connections[alias]``.

    A process that answers requests remembers what it found, as ``remember_lookups`` says; any other asks main.
    """

    def __init__(self) -> None:
        self._remembers = False
        self.start_anew()

    def start_anew(self) -> None:
        """Also in a child process: nothing is heard there yet, and locks may be held by threads that do not exist."""
        databases().start_anew()
        self._cache = TenantCache()
        self.news = News(heard=self.hear, begun=self._catch_up, lost=self._cache.shut)

    def remember_lookups(self) -> None:
        """Answer look-ups of slugs from memory, from when main's word of changes arrives."""
        self._remembers = True

    def find(self, slug: str) -> Tenant:
        """The tenant with this slug; raises ``UnknownTenantError``."""
        # Nothing that is no slug reaches a query: PostgreSQL itself refuses a NUL with an error of its own.
        tenant = self._look_up(slug) if naming.is_slug(slug) else None
        if tenant is None:
            raise UnknownTenantError(repr(slug), tenant=slug)
        return tenant

    def find_by_alias(self, alias: str) -> Tenant | None:
        tenant_id = naming.tenant_id_of(alias)
        if tenant_id is None or not apps.ready:
            return None
        return _query(lambda: _tenants().filter(pk=tenant_id).first())

    def enter(self, tenant: Tenant) -> None:
        settings = databases().remember(tenant)
        take_up(settings["NAME"], settings)

    def leave(self, alias: str) -> None:
        close_here(alias)

    def forget(self, tenant: Tenant) -> None:
        """Know nothing of a tenant that has changed, and keep no session with it: here at once; the others hear it."""
        self.hear({"id": tenant.id.hex, "slugs": [tenant.slug], "closes": True})

    def hear(self, change: Change) -> None:
        """Main says that a tenant has changed, or a server."""
        if not change:
            self._cache.clear()
            databases().distrust_all()
            return
        alias = naming.alias_of(UUID(change["id"]))
        self._cache.drop(change["slugs"])
        databases().distrust(alias)
        if change["closes"]:
            process_pool().empty(alias)

    def _look_up(self, slug: str) -> Tenant | None:
        def query() -> Tenant | None:
            return _query(lambda: _tenants().filter(slug=slug).first())

        # Inside a transaction main has another truth: its own changes, which nobody has heard of and may never.
        if not self._remembers or main.in_atomic_block:
            return query()
        self.news.listen()
        return self._cache.look_up(slug, query)

    def _catch_up(self) -> None:
        databases().distrust_all()  # addresses, too, may have changed while nobody listened
        self._cache.open()


directory = TenantDirectory()


@receiver([post_save, post_delete], sender=Tenant)
def _hear_at_once(instance: Tenant, using: str, **_: Any) -> None:
    """Whoever changes a tenant sees the change in the next request, even before main's word is back."""
    told = {"id": instance.id.hex, "slugs": [instance.slug], "closes": False}
    transaction.on_commit(lambda: directory.hear(told), using=using)


os.register_at_fork(after_in_child=directory.start_anew)


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
