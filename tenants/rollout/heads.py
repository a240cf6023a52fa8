"""Where a database stands, and where the code wants it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from tenants.databases.bookkeeping import MigrationKey
from tenants.rollout.disk import leaves, on_disk, replaced_by
from tenants.tenant_apps import tenant_app_labels

if TYPE_CHECKING:
    from tenants.models import Tenant

Head = dict[str, str]
"""The last applied migration of each tenant app."""


def head_of(applied: Iterable[MigrationKey]) -> Head:
    """The head that applied migrations amount to. ``applied`` is in the order of recording."""
    labels = tenant_app_labels()
    return dict(sorted({app: name for app, name in applied if app in labels}.items()))


@lru_cache(maxsize=256)
def key_of(applied: tuple[MigrationKey, ...]) -> str:
    """SHA-256 of the sorted applied migrations: two databases with the same key are of one group."""
    return hashlib.sha256(json.dumps(sorted(set(applied))).encode()).hexdigest()


def code_head() -> Head:
    """The last migration of each tenant app in this code."""
    labels = tenant_app_labels()
    return {app: name for app, name in leaves() if app in labels}


def is_behind(tenant: Tenant) -> bool:
    """Whether the tenant's cached head lacks a migration that this code has.

    A tenant ahead of the code (a deploy in progress) is not behind.
    """
    return any(_lacks(app, tenant.head.get(app), name) for app, name in code_head().items())


def _lacks(app: str, found: str | None, wanted: str) -> bool:
    if found is None or found == wanted:
        return found is None
    return (app, found) in on_disk().disk_migrations and replaced_by().get((app, found)) != (app, wanted)
