"""The tenant app that Silo comes with."""

from __future__ import annotations

from django.apps import AppConfig


class TenantDataConfig(AppConfig):
    name = "tenant_data"
    verbose_name = "Tenant data"
