"""Configuration mistakes that would let main and tenants, or two tenants, mix; found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db.models import ForeignObject, Model

from tenants.routing.connections import TenantDatabases
from tenants.tenant_apps import lives_in_main, lives_in_tenants

TENANT_MIDDLEWARE = "tenants.routing.middleware.TenantMiddleware"


def register() -> None:
    checks.register(check_relations, checks.Tags.models)
    checks.register(check_settings, checks.Tags.models)
    checks.register(check_middleware, checks.Tags.security)


def check_relations(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """``tenants.E001`` and ``tenants.E002``: PostgreSQL has no key from one database to another."""
    found: list[checks.CheckMessage] = []
    for model in apps.get_models(include_auto_created=True):
        for field, related in _keys_of(model):
            if lives_in_tenants(model) and not lives_in_tenants(related):
                found.append(
                    checks.Error(
                        f"{field} points from a tenant's database to {related._meta.label}, which lives in main only.",
                        hint=(
                            f"Hold the key's value instead (as tenant_data.Document.owner_id does), or take "
                            f"{model._meta.app_label!r} out of TENANT_APPS."
                        ),
                        obj=model,
                        id="tenants.E001",
                    )
                )
            if lives_in_main(model) and not lives_in_main(related):
                found.append(
                    checks.Error(
                        f"{field} points from main to {related._meta.label}, which lives in tenant databases only.",
                        hint=(
                            f"Move the model to a tenant app, or take {related._meta.app_label!r} out of TENANT_APPS."
                        ),
                        obj=model,
                        id="tenants.E002",
                    )
                )
    return found


def check_settings(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """``tenants.E003`` and ``tenants.E004``: without the router or the mapping, queries would fall back to main."""
    found: list[checks.CheckMessage] = []
    if "tenants.routing.router.TenantRouter" not in settings.DATABASE_ROUTERS:
        found.append(
            checks.Error(
                "DATABASE_ROUTERS does not name Silo's router.",
                hint='Set DATABASE_ROUTERS = ["tenants.routing.router.TenantRouter"].',
                id="tenants.E003",
            )
        )
    mapping: object = settings.DATABASES
    if not isinstance(mapping, TenantDatabases):
        found.append(
            checks.Error(
                "DATABASES cannot find tenants.",
                hint="Wrap it: DATABASES = TenantDatabases({...}), from tenants.routing.connections.",
                id="tenants.E004",
            )
        )
    return found


BELOW_THE_TENANT = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
)


def check_middleware(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """``tenants.E005``: above ``TenantMiddleware`` no tenant is current, and what is kept there is kept for all."""
    order = list(settings.MIDDLEWARE)
    if TENANT_MIDDLEWARE not in order:
        return []
    above = order[: order.index(TENANT_MIDDLEWARE)]
    return [
        checks.Error(
            f"{name} stands above TenantMiddleware, so what it keeps for one tenant is given to others.",
            hint=f"Move {TENANT_MIDDLEWARE!r} above it in MIDDLEWARE.",
            id="tenants.E005",
        )
        for name in BELOW_THE_TENANT
        if name in above
    ]


def _keys_of(model: type[Model]) -> Iterator[tuple[ForeignObject[Any, Any], type[Model]]]:
    for field in model._meta.get_fields():
        # A many-to-many field's keys are those of its through model, which is looked at as a model of its own.
        if isinstance(field, ForeignObject) and not isinstance(field.related_model, str):
            yield field, field.related_model
