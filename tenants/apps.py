"""The tenants app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig

from tenants.routing.guards.transactions import watch_bare_calls


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        watch_bare_calls()

    def ready(self) -> None:
        from tenants import checks, context
        from tenants.management import databases
        from tenants.routing import guards
        from tenants.routing.registry import directory

        checks.register()
        context.install_directory(directory)
        guards.install()
        databases.install()
