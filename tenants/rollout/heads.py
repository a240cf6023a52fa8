"""Where a database stands, and where the code wants it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from django.core.signals import setting_changed
from django.db.migrations.loader import MigrationLoader

from tenants.databases.bookkeeping import MigrationKey
from tenants.tenant_apps import tenant_app_labels

if TYPE_CHECKING:
    from tenants.models import Tenant

Head = dict[str, str]
"""The last applied migration of each tenant app."""


def head_of(applied: Iterable[MigrationKey]) -> Head:
    """The head that applied migrations amount to. ``applied`` is in the order of recording."""
    labels = tenant_app_labels()
    return dict(sorted({app: name for app, name in applied if app in labels}.items()))


def key_of(applied: Iterable[MigrationKey]) -> str:
    """SHA-256 of the sorted applied migrations: two databases with the same key are of one group."""
    return hashlib.sha256(json.dumps(sorted(set(applied))).encode()).hexdigest()


@lru_cache(maxsize=1)
def code_head() -> Head:
    """The last migration of each tenant app in this code. Read from disk once a process."""
    loader = MigrationLoader(None)
    return {app: name for app, name in sorted(loader.graph.leaf_nodes()) if app in tenant_app_labels()}


@lru_cache(maxsize=1)
def _known() -> tuple[frozenset[MigrationKey], dict[MigrationKey, MigrationKey]]:
    """All migrations on disk; and for the last migration that a squashed one replaces, the squashed one."""
    loader = MigrationLoader(None)
    replaced = {migration.replaces[-1]: key for key, migration in loader.replacements.items()}
    return frozenset(loader.disk_migrations), replaced


def is_behind(tenant: Tenant) -> bool:
    """Whether the tenant's cached head lacks a migration that this code has.

    A tenant ahead of the code (a deploy in progress) is not behind.
    """
    return any(_lacks(app, tenant.head.get(app), name) for app, name in code_head().items())


def _lacks(app: str, found: str | None, wanted: str) -> bool:
    if found is None or found == wanted:
        return found is None
    on_disk, replaced_by = _known()
    return (app, found) in on_disk and replaced_by.get((app, found)) != (app, wanted)


def _forget(*, setting: str, **_: object) -> None:
    if setting in {"TENANT_APPS", "INSTALLED_APPS", "MIGRATION_MODULES"}:
        code_head.cache_clear()
        _known.cache_clear()


setting_changed.connect(_forget)
