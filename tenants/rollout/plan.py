"""What a database lacks, or has too much of, on the way to a target. Reads migrations on disk; touches no database."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration

from tenants.databases.bookkeeping import MigrationKey
from tenants.errors import InconsistentHistoryError, RolloutRefusedError, UnknownMigrationsError
from tenants.rollout.disk import on_disk
from tenants.tenant_apps import tenant_app_labels

if TYPE_CHECKING:
    from tenants.rollout.target import Target

Step = tuple[Migration, bool]
"""A migration, and whether it is taken back: Django's own form of a plan."""

Node = tuple[str, str | None]
"""An app and one of its migrations, or None for before its first."""


def copied(migration: Migration) -> Migration:
    """A copy whose list of operations is its own: contenttypes inserts into the one it is shown."""
    own = copy.copy(migration)
    vars(own)["operations"] = list(migration.operations)
    return own


def unknown_migrations(applied: Iterable[MigrationKey]) -> list[str]:
    """Those of tenant apps that this code does not have, as app.name. One that a squashed one replaces is known."""
    disk, labels = on_disk(), tenant_app_labels()
    replaced = {key for migration in disk.replacements.values() for key in migration.replaces}
    return sorted(
        f"{app}.{name}"
        for app, name in applied
        if app in labels and (app, name) not in disk.disk_migrations and (app, name) not in replaced
    )


class GroupExecutor(MigrationExecutor):
    """Django's planner, for databases whose applied migrations are already known. It has no connection."""

    def __init__(self, applied: tuple[MigrationKey, ...]) -> None:
        self.progress_callback = None
        self.loader: GroupLoader = GroupLoader(applied)

    def steps_to(self, target: Target) -> list[Step]:
        """The plan, in the order in which it is to be carried out.

        Raises ``UnknownMigrationsError`` and ``InconsistentHistoryError`` rather than guess.
        """
        self._refuse_unknown()
        self._refuse_inconsistent()
        plan: list[Step] = self.migration_plan(target.nodes(self))
        if len({backwards for _, backwards in plan}) > 1:
            raise RolloutRefusedError(
                "some apps would go forwards and others backwards; name one app and migration at a time"
            )
        if plan and not plan[0][1]:
            # Django applies in the order of the whole graph, not of the targets.
            wanted = {migration for migration, _ in plan}
            plan = [step for step in self.whole_plan() if step[0] in wanted]
        return plan

    def whole_plan(self) -> list[Step]:
        """Everything there is, in the order in which an empty database would get it."""
        return self.migration_plan(self.loader.graph.leaf_nodes(), clean_start=True)

    def missing_replacements(self, recorded: AbstractSet[MigrationKey]) -> list[MigrationKey]:
        """Squashed migrations that are to be recorded, since those they replace all are."""
        return [
            key
            for key, migration in self.loader.replacements.items()
            if key not in recorded and all(replaced in recorded for replaced in migration.replaces)
        ]

    def _refuse_unknown(self) -> None:
        if unknown := unknown_migrations(self.loader.recorded):
            raise UnknownMigrationsError(", ".join(unknown), migrations=unknown)

    def _refuse_inconsistent(self) -> None:
        graph, recorded = self.loader.graph, self.loader.recorded
        for key in recorded & set(graph.nodes):
            for parent in graph.node_map[key].parents:
                replaces = getattr(self.loader.replacements.get(parent.key), "replaces", None)
                if parent.key not in recorded and not (replaces and all(one in recorded for one in replaces)):
                    raise InconsistentHistoryError(f"{'.'.join(key)} is applied, {'.'.join(parent.key)} is not")


class GroupLoader(MigrationLoader):
    """A loader that is told what is applied, where Django's would ask a connection."""

    def __init__(self, applied: tuple[MigrationKey, ...]) -> None:
        self.recorded = frozenset(applied)
        super().__init__(None)

    def load_disk(self) -> None:
        """Take them from ``on_disk``: looking through the folders again takes longer than planning."""
        disk = on_disk()
        self.disk_migrations = {key: copied(migration) for key, migration in disk.disk_migrations.items()}
        self.unmigrated_apps, self.migrated_apps = set(disk.unmigrated_apps), set(disk.migrated_apps)

    @property
    def applied_migrations(self) -> dict[MigrationKey, Any]:
        return self._applied

    @applied_migrations.setter
    def applied_migrations(self, _asked_of_a_connection: object) -> None:
        # Django sets this anew in build_graph(), and then adds and drops squashed migrations in it.
        self._applied: dict[MigrationKey, Any] = dict.fromkeys(self.recorded)
