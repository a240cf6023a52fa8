"""The migrations of this code, read from disk once a process: reading them takes longer than migrating a tenant."""

from __future__ import annotations

from functools import lru_cache

from django.core.signals import setting_changed
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration

from tenants.databases.bookkeeping import MigrationKey


@lru_cache(maxsize=1)
def on_disk() -> MigrationLoader:
    """All migrations and their graph, with nothing applied. Shared: to be read only."""
    return MigrationLoader(None)


@lru_cache(maxsize=1)
def leaves() -> tuple[MigrationKey, ...]:
    """The last migration of each app. Each request asks whether its tenant has them."""
    return tuple(_key(leaf) for leaf in sorted(on_disk().graph.leaf_nodes()))


@lru_cache(maxsize=1)
def replaced_by() -> dict[MigrationKey, MigrationKey]:
    """For the last migration that a squashed one replaces, the squashed one."""
    return {_key(migration.replaces[-1]): key for key, migration in on_disk().replacements.items()}


@lru_cache(maxsize=1)
def marked_to_run_again() -> dict[MigrationKey, Migration]:
    """The migrations that say ``run_again_after_clone = True``."""
    return {
        key: migration
        for key, migration in on_disk().disk_migrations.items()
        if getattr(migration, "run_again_after_clone", False)
    }


def forget() -> None:
    """Read anew when asked next. For tests, which write migrations while they run."""
    for cached in (on_disk, leaves, replaced_by, marked_to_run_again):
        cached.cache_clear()


def _key(names: tuple[str, ...] | MigrationKey) -> MigrationKey:
    app, name = names
    return app, name


def _forget_on_change(*, setting: str, **_: object) -> None:
    if setting in {"TENANT_APPS", "INSTALLED_APPS", "MIGRATION_MODULES"}:
        forget()


setting_changed.connect(_forget_on_change)
