"""The tenants app."""

from __future__ import annotations

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants"

    def ready(self) -> None:
        from tenants import checks, context
        from tenants.management import databases
        from tenants.routing import guards
        from tenants.routing.registry import directory

        checks.register()
        context.install_directory(directory)
        guards.install()
        databases.install()
