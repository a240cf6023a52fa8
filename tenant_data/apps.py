"""The tenant app that Silo comes with."""

from __future__ import annotations

from django.apps import AppConfig


class TenantDataConfig(AppConfig):
    name = "tenant_data"
    verbose_name = "Tenant data"

    def ready(self) -> None:
        from tenant_data.purging import remove_files
        from tenants.signals import tenant_purged

        tenant_purged.connect(remove_files)
