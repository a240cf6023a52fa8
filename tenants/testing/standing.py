"""The tenants that stand as long as a test session runs: two real databases, cloned once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.signals import post_migrate

from tenants.databases import clone, roles
from tenants.databases.sessions import maintenance
from tenants.lifecycle import create_tenant
from tenants.models import Installation, Server, Template, Tenant
from tenants.routing.registry import directory
from tenants.testing.contents import Contents

SLUG, OTHER_SLUG = "acme", "globex"


class StandingTenants:
    """Tenants for one test after the other. What a test writes in them is committed, and taken away when it has ended.

    Their rows in main are committed before the first test begins, so that its transaction leaves them alone. A
    ``TransactionTestCase`` empties main instead; Django then sends ``post_migrate``, and the rows are put back.
    """

    def __init__(self) -> None:
        self._fresh: dict[UUID, Contents] = {}
        for slug in (SLUG, OTHER_SLUG):
            tenant = create_tenant(slug=slug)
            self._fresh[tenant.pk] = Contents.of(tenant)
        kept: tuple[type[models.Model], ...] = (Installation, Server, Template, Tenant)
        self._in_main = [(model, list(model._base_manager.all())) for model in kept]
        post_migrate.connect(self._put_back_in_main, sender=apps.get_app_config("tenants"))

    def find(self, slug: str) -> Tenant:
        """The tenant as main has it."""
        tenants = Tenant.objects.select_related("server")
        if not tenants.filter(slug=slug).exists():
            self._put_back_in_main()  # a test case with `serialized_rollback` sends no signal
        return tenants.get(slug=slug)

    def clean(self, tenant: Tenant) -> None:
        """Make the tenant's database as it was when it was new."""
        self._fresh[tenant.pk].put_back(tenant)

    def dismiss(self) -> None:
        """Put nothing back from here on."""
        post_migrate.disconnect(self._put_back_in_main, sender=apps.get_app_config("tenants"))

    def _put_back_in_main(self, using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
        if using == DEFAULT_DB_ALIAS:
            for model, rows in self._in_main:
                model._base_manager.using(using).bulk_create(rows, ignore_conflicts=True)
            # What emptied main was a TRUNCATE, of which the triggers that tell of changed tenants say nothing.
            directory.hear({})


def drop_all() -> None:
    """Drop every tenant and template that main knows, and forget them."""
    for tenant in Tenant.objects.select_related("server"):
        drop_database(tenant)
        tenant.delete()
    for template in Template.objects.select_related("server"):
        with maintenance(template.server) as cursor:
            clone.drop(cursor, template.name)
        template.delete()


def drop_database(tenant: Tenant) -> None:
    """Drop a tenant's database and role. Harmless where they are gone."""
    with maintenance(tenant.server) as cursor:
        clone.drop(cursor, tenant.alias)
        roles.drop_role(cursor, tenant.alias)
