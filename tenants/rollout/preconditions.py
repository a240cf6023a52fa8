"""What must hold before any tenant is touched."""

from __future__ import annotations

from django.db import ProgrammingError, connections
from django.db.migrations.recorder import MigrationRecorder
from psycopg2 import errorcodes

from tenants.databases.bookkeeping import MigrationKey
from tenants.databases.sessions import sqlstate_of
from tenants.errors import RolloutRefusedError
from tenants.rollout.plan import GroupExecutor
from tenants.tenant_apps import dual_app_labels, tenant_app_labels


def require_main_migrated() -> None:
    """Raise ``RolloutRefusedError`` where main lacks a migration of an app that lives in it."""
    executor = GroupExecutor(_recorded_in_main())
    only_tenants = tenant_app_labels() - dual_app_labels()
    leaves = [node for node in executor.loader.graph.leaf_nodes() if node[0] not in only_tenants]
    lacking = [
        f"{migration.app_label}.{migration.name}"
        for migration, _ in executor.migration_plan(leaves)
        if migration.app_label not in only_tenants
    ]
    if lacking:
        raise RolloutRefusedError(
            f"the main database is behind ({lacking[0]} and {len(lacking) - 1} more); run `manage.py migrate` first"
            if len(lacking) > 1
            else f"the main database is behind ({lacking[0]}); run `manage.py migrate` first"
        )


def _recorded_in_main() -> tuple[MigrationKey, ...]:
    """What main records. (Django's recorder asks the catalog for the table first, which takes longer than the rest.)"""
    try:
        return tuple(MigrationRecorder(connections["default"]).migration_qs.values_list("app", "name"))
    except ProgrammingError as error:
        if sqlstate_of(error) != errorcodes.UNDEFINED_TABLE:
            raise
        return ()
