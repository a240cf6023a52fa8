"""Which installed apps are tenant apps, as `TENANT_APPS` says, and where a model lives."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed

if TYPE_CHECKING:
    from django.apps import AppConfig
    from django.db.models import Model


@lru_cache(maxsize=1)
def tenant_app_labels() -> frozenset[str]:
    """Labels of the apps whose tables live in every tenant database."""
    return frozenset(config.label for config in apps.get_app_configs() if _is_named(config, settings.TENANT_APPS))


@lru_cache(maxsize=1)
def dual_app_labels() -> frozenset[str]:
    """Labels of the tenant apps that Silo itself needs in main as well, such as contenttypes: they live in both."""
    return frozenset(
        config.label
        for config in apps.get_app_configs()
        if config.label in tenant_app_labels() and _is_named(config, settings.MAIN_APPS)
    )


def lives_in_tenants(model: type[Model]) -> bool:
    return model._meta.app_label in tenant_app_labels()


def lives_in_main(model: type[Model]) -> bool:
    return not lives_in_tenants(model) or model._meta.app_label in dual_app_labels()


def tenant_app_configs() -> list[AppConfig]:
    return [config for config in apps.get_app_configs() if config.label in tenant_app_labels()]


def _is_named(config: AppConfig, entries: list[str]) -> bool:
    config_path = f"{type(config).__module__}.{type(config).__qualname__}"
    return config.name in entries or config_path in entries


def _forget(*, setting: str, **_: object) -> None:
    if setting in {"TENANT_APPS", "MAIN_APPS", "INSTALLED_APPS"}:
        tenant_app_labels.cache_clear()
        dual_app_labels.cache_clear()


setting_changed.connect(_forget)
