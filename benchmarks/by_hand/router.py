"""Keeps the tables of tenant apps in tenants' databases, and all others out of them."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings


class TenantAppsRouter:
    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (apps.get_app_config(app_label).name in settings.TENANT_APPS) == (db != "default")
