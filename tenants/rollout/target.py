"""Where databases are to be brought, as people name it and as each group's graph has it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from django.db.migrations.exceptions import AmbiguityError
from django.db.migrations.loader import MigrationLoader

from tenants.databases.bookkeeping import Facts, MigrationKey
from tenants.errors import MovedOnError, RolloutRefusedError
from tenants.rollout.disk import on_disk
from tenants.rollout.footprint import Footprint
from tenants.rollout.plan import GroupExecutor, GroupLoader, Node
from tenants.tenant_apps import tenant_app_labels

_RELATIVE = re.compile(r"[+-][1-9]\d*")


class Target(Protocol):
    """Where databases are to be brought. What that means may differ between groups, so each group's planner asks."""

    @property
    def title(self) -> str: ...

    def nodes(self, executor: GroupExecutor) -> list[Node]:
        """For each app concerned its migration, or None for before its first."""
        ...


@dataclass(frozen=True)
class Latest:
    """The last migration of a tenant app, or of all of them.

    A group that has a squashed migration's predecessors in part has another last migration than one that has none.
    """

    app_label: str | None = None

    @property
    def title(self) -> str:
        return self.app_label or "latest"

    def nodes(self, executor: GroupExecutor) -> list[Node]:
        wanted = {self.app_label} if self.app_label else tenant_app_labels()
        return [node for node in executor.loader.graph.leaf_nodes() if node[0] in wanted]


@dataclass(frozen=True)
class Named:
    """These migrations, and of each of their apps none beyond."""

    named: tuple[Node, ...]
    title: str = field(compare=False)

    def nodes(self, executor: GroupExecutor) -> list[Node]:
        return [(app, name and _name_in_graph(app, name, executor.loader)) for app, name in self.named]


@dataclass(frozen=True)
class Relative:
    """So many migrations of an app on (or, negative, back) from where each tenant stands."""

    app_label: str
    steps: int

    @property
    def title(self) -> str:
        return f"{self.app_label} {self.steps:+d}"

    def nodes(self, executor: GroupExecutor) -> list[Node]:
        in_order = [m.name for m, _ in executor.whole_plan() if m.app_label == self.app_label]
        applied = executor.loader.applied_migrations
        standing = sum((self.app_label, name) in applied for name in in_order)
        reached = standing + self.steps
        if not 0 <= reached <= len(in_order):
            raise RolloutRefusedError(
                f"{self.title} leads beyond its {'last' if self.steps > 0 else 'first'} migration: "
                f"{standing} of {len(in_order)} are applied"
            )
        return [(self.app_label, in_order[reached - 1] if reached else None)]


@dataclass(frozen=True)
class Before:
    """Where each database stood before a rollout; ``fleet`` is where new tenants go, or () if that does not change.

    ``origin`` is what the rollout's footprints say.
    """

    origin: str
    fleet: tuple[Node, ...] = ()

    @property
    def origin_of_rollback(self) -> str:
        """What the rollback's own footprints say. All rollbacks of one rollout go on with one another."""
        return f"back {self.origin}"

    @property
    def title(self) -> str:
        *rollbacks, rollout = self.origin.split()
        return f"before {'the rollback of ' * len(rollbacks)}rollout {rollout[:8]}"

    def nodes(self, executor: GroupExecutor) -> list[Node]:
        # Of a template: in a tenant it means another target.
        return Named(self.fleet, self.title).nodes(executor)

    def in_database(self, facts: Facts) -> Target:
        """What it means for one database. Raises ``MovedOnError`` where that is not as the rollout left it."""
        if facts.tenant_id is None:
            return self
        footprint = Footprint.noted_in(facts)
        if footprint is None or footprint.origin != self.origin or not footprint.before:
            raise MovedOnError("another rollout has moved it since")
        if not footprint.is_last_in(facts):
            raise MovedOnError("its migrations have changed since, and not by a rollout")
        return Named(footprint.before, self.title)


def latest() -> Target:
    """The last migration of every tenant app. Raises ``RolloutRefusedError`` where an app has several."""
    _refuse_conflicts(on_disk())
    return Latest()


def resolve(app_label: str | None, migration: str | None) -> Target:
    """The target that ``migrate_tenants [app_label] [migration]`` names.

    Both mean what they mean to ``migrate``; ``+2`` and ``-1`` as well, from where each tenant stands.
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
        return Latest(app_label)
    if migration == "zero":
        return Named(((app_label, None),), title=f"{app_label} zero")
    if _RELATIVE.fullmatch(migration):
        return Relative(app_label, int(migration))
    return Named(((app_label, _full_name(loader, app_label, migration)),), title=f"{app_label} {migration}")


def exactly(applied: tuple[MigrationKey, ...]) -> Target:
    """The target that has just these migrations applied: for each app the last of them, none for the others."""
    return Named(standing(GroupLoader(applied)), title="the fleet's head")


def standing(loader: GroupLoader) -> tuple[Node, ...]:
    """Where a group stands: for each tenant app its last applied migration, or None.

    In the group's own graph: where all that a squashed migration replaces is applied, that stands for them.
    """
    wanted = set(loader.applied_migrations)
    nodes: list[Node] = [
        key
        for key in sorted(wanted & set(loader.graph.nodes))
        if not any(child.key in wanted and child.key[0] == key[0] for child in loader.graph.node_map[key].children)
        and key[0] in tenant_app_labels()
    ]
    present = {app for app, _ in nodes}
    return (*nodes, *((app, None) for app in sorted(tenant_app_labels() & loader.migrated_apps - present)))


def _refuse_conflicts(loader: MigrationLoader) -> None:
    conflicts = {app: names for app, names in loader.detect_conflicts().items() if app in tenant_app_labels()}
    if conflicts:
        named = "; ".join(f"{app}: {', '.join(sorted(names))}" for app, names in sorted(conflicts.items()))
        raise RolloutRefusedError(
            f"several last migrations ({named}); join them with `manage.py makemigrations --merge`"
        )


def _name_in_graph(app: str, name: str, loader: MigrationLoader) -> str:
    """A migration as this group's graph has it: either a squashed one, or those it replaces, are in it.

    Raises ``RolloutRefusedError`` for one in the middle of a squashed one that is not applied.
    """
    if (app, name) in loader.graph.nodes or (app, name) in loader.applied_migrations:
        return name
    if (app, name) in loader.replacements:
        # As `migrate`: where they are applied in part, it stands for the last of them.
        return _name_in_graph(app, loader.replacements[app, name].replaces[-1][1], loader)
    for key, squashed in loader.replacements.items():
        if (app, name) == tuple(squashed.replaces[-1]):
            return _name_in_graph(app, key[1], loader)
        if (app, name) in squashed.replaces:
            raise RolloutRefusedError(f"{app}.{name} was squashed into {key[1]}; name that, or one before it")
    return name


def _full_name(loader: MigrationLoader, app_label: str, beginning: str) -> str:
    names = sorted(name for app, name in loader.disk_migrations if app == app_label)
    try:
        return loader.get_migration_by_prefix(app_label, beginning).name
    except AmbiguityError:
        fitting = ", ".join(name for name in names if name.startswith(beginning))
        raise RolloutRefusedError(f"{beginning!r} fits more than one migration: {fitting}") from None
    except KeyError:
        raise RolloutRefusedError(f"{app_label} has no migration {beginning!r}; it has {', '.join(names)}") from None
