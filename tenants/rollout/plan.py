"""What a database lacks, or has too much of, on the way to a target. Reads migrations on disk; touches no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.migrations.exceptions import AmbiguityError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration

from tenants.databases.bookkeeping import MigrationKey
from tenants.errors import InconsistentHistoryError, RolloutRefusedError, UnknownMigrationsError
from tenants.rollout.disk import on_disk
from tenants.tenant_apps import tenant_app_labels

Step = tuple[Migration, bool]
"""A migration, and whether it is taken back: Django's own form of a plan."""


@dataclass(frozen=True)
class Target:
    """Where databases are to be brought: for each node an app and a migration, or None for before its first."""

    nodes: tuple[tuple[str, str | None], ...]
    title: str = field(compare=False)


def latest() -> Target:
    """The last migration of every tenant app."""
    loader = on_disk()
    _refuse_conflicts(loader)
    nodes = [node for node in loader.graph.leaf_nodes() if node[0] in tenant_app_labels()]
    return Target(tuple(nodes), title="latest")


def resolve(app_label: str | None, migration: str | None) -> Target:
    """The target that ``migrate_tenants [app_label] [migration]`` names; both mean what they mean to ``migrate``.

    Raises ``RolloutRefusedError``, saying what would be right.
    """
    if app_label is None:
        return latest()
    loader = on_disk()
    if app_label not in tenant_app_labels():
        known = ", ".join(sorted(tenant_app_labels())) or "none"
        raise RolloutRefusedError(f"{app_label!r} is not a tenant app; those in TENANT_APPS are: {known}")
    if app_label not in loader.migrated_apps:
        raise RolloutRefusedError(f"{app_label!r} has no migrations; make them with `manage.py makemigrations`")
    _refuse_conflicts(loader)
    if migration is None:
        return Target(tuple(loader.graph.leaf_nodes(app_label)), title=app_label)
    if migration == "zero":
        return Target(((app_label, None),), title=f"{app_label} zero")
    try:
        found = loader.get_migration_by_prefix(app_label, migration)
    except AmbiguityError:
        names = sorted(name for app, name in loader.disk_migrations if app == app_label and name.startswith(migration))
        raise RolloutRefusedError(f"{migration!r} fits more than one migration: {', '.join(names)}") from None
    except KeyError:
        names = sorted(name for app, name in loader.disk_migrations if app == app_label)
        raise RolloutRefusedError(f"{app_label} has no migration {migration!r}; it has {', '.join(names)}") from None
    return Target(((app_label, found.name),), title=f"{app_label} {found.name}")


def exactly(applied: tuple[MigrationKey, ...]) -> Target:
    """The target that has just these migrations applied: for each app the last of them, none for the others."""
    loader = on_disk()
    wanted = set(applied)
    nodes: list[tuple[str, str | None]] = [
        key
        for key in sorted(wanted & set(loader.graph.nodes))
        if not any(child.key in wanted and child.key[0] == key[0] for child in loader.graph.node_map[key].children)
        and key[0] in tenant_app_labels()
    ]
    present = {app for app, _ in nodes}
    nodes += [(app, None) for app in sorted(tenant_app_labels() & _migrated_apps() - present)]
    return Target(tuple(nodes), title="the fleet's head")


class GroupExecutor(MigrationExecutor):
    """Django's planner, for databases whose applied migrations are already known. It has no connection."""

    def __init__(self, applied: tuple[MigrationKey, ...]) -> None:
        self.progress_callback = None
        self.loader: _GroupLoader = _GroupLoader(applied)

    def steps_to(self, target: Target) -> list[Step]:
        """The plan, in the order in which it is to be carried out.

        Raises ``UnknownMigrationsError`` and ``InconsistentHistoryError`` rather than guess.
        """
        self._refuse_unknown()
        self._refuse_inconsistent()
        plan: list[Step] = self.migration_plan(list(target.nodes))
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

    def missing_replacements(self) -> list[MigrationKey]:
        """Squashed migrations whose replaced ones are all applied, and that are not recorded yet."""
        recorded = self.loader.recorded
        return [
            key
            for key, migration in self.loader.replacements.items()
            if key not in recorded and all(replaced in recorded for replaced in migration.replaces)
        ]

    def _refuse_unknown(self) -> None:
        labels = tenant_app_labels()
        unknown = sorted(
            f"{app}.{name}"
            for app, name in self.loader.recorded
            if app in labels and (app, name) not in self.loader.disk_migrations and not self._is_replaced((app, name))
        )
        if unknown:
            raise UnknownMigrationsError(", ".join(unknown), migrations=unknown)

    def _refuse_inconsistent(self) -> None:
        graph, recorded = self.loader.graph, self.loader.recorded
        for key in recorded & set(graph.nodes):
            for parent in graph.node_map[key].parents:
                replaces = getattr(self.loader.replacements.get(parent.key), "replaces", None)
                if parent.key not in recorded and not (replaces and all(one in recorded for one in replaces)):
                    raise InconsistentHistoryError(f"{'.'.join(key)} is applied, {'.'.join(parent.key)} is not")

    def _is_replaced(self, key: MigrationKey) -> bool:
        return any(key in migration.replaces for migration in self.loader.replacements.values())


class _GroupLoader(MigrationLoader):
    """A loader that is told what is applied, where Django's would ask a connection."""

    def __init__(self, applied: tuple[MigrationKey, ...]) -> None:
        self.recorded = frozenset(applied)
        super().__init__(None)

    @property
    def applied_migrations(self) -> dict[MigrationKey, Any]:
        return self._applied

    @applied_migrations.setter
    def applied_migrations(self, _asked_of_a_connection: object) -> None:
        # Django sets this anew in build_graph(), and then adds and drops squashed migrations in it.
        self._applied: dict[MigrationKey, Any] = dict.fromkeys(self.recorded)


def _refuse_conflicts(loader: MigrationLoader) -> None:
    conflicts = {app: names for app, names in loader.detect_conflicts().items() if app in tenant_app_labels()}
    if conflicts:
        named = "; ".join(f"{app}: {', '.join(sorted(names))}" for app, names in sorted(conflicts.items()))
        raise RolloutRefusedError(
            f"several last migrations ({named}); join them with `manage.py makemigrations --merge`"
        )


def _migrated_apps() -> set[str]:
    return set(on_disk().migrated_apps)
