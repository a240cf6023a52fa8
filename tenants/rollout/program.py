"""Migrations prepared once for all databases that stand at the same head.

Rendering the models of each step is most of what a migration costs Django, and is the same for every database of a
group. What may differ between databases stays with each: introspection, callable defaults, RunPython.
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from django.apps import apps as installed_apps
from django.contrib.contenttypes.management import inject_rename_contenttypes_operations
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.migration import Migration
from django.db.migrations.operations import AddField, AlterField
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState, StateApps

from tenants.databases.bookkeeping import Facts, MigrationKey
from tenants.errors import UnknownMigrationsError
from tenants.rollout.disk import on_disk
from tenants.rollout.footprint import Footprint
from tenants.rollout.heads import key_of
from tenants.rollout.plan import GroupExecutor, Step, copied
from tenants.rollout.script import SCHEMA_OPERATIONS, Script
from tenants.rollout.target import Before, Named, Relative, Target, exactly, standing
from tenants.tenant_apps import tenant_app_labels


@dataclass(frozen=True)
class PreparedOperation:
    """An operation and the states before and after what it does: backwards, ``before`` is the later state."""

    operation: Operation
    before: ProjectState
    after: ProjectState


@dataclass(frozen=True)
class PreparedMigration:
    migration: Migration
    backwards: bool
    operations: tuple[PreparedOperation, ...]
    script: Script = field(default_factory=Script, compare=False, repr=False)
    footprint: str | None = None
    """What is noted in a database with the record of this migration; None outside a rollout."""

    @property
    def key(self) -> MigrationKey:
        return self.migration.app_label, self.migration.name

    @property
    def title(self) -> str:
        return ".".join(self.key)

    def run(self, step: PreparedOperation, editor: Any) -> None:
        """Run one of its operations in one database, in the direction of the migration."""
        operation = _own(step.operation)
        act = operation.database_backwards if self.backwards else operation.database_forwards
        act(self.migration.app_label, editor, step.before, step.after)


@dataclass(frozen=True)
class Program:
    """All that brings a database from one head to a target. Shared by threads, and changed by none."""

    migrations: tuple[PreparedMigration, ...]
    replacements: tuple[MigrationKey, ...]
    plan: tuple[Step, ...]
    apps_before: StateApps | None
    apps_after: StateApps | None

    def __bool__(self) -> bool:
        return bool(self.migrations or self.replacements)

    def begins_with(self, key: MigrationKey, backwards: bool) -> bool:
        first = self.migrations[0] if self.migrations else None
        return first is not None and (first.key, first.backwards) == (key, backwards)

    def plan_to_show(self) -> list[Step]:
        """The plan as signal receivers get it: a copy, since contenttypes inserts its operations into it."""
        return [(copied(migration), backwards) for migration, backwards in self.plan]


@dataclass(frozen=True)
class _Refusal:
    """Why there is no program for a group. Raised for each of its tenants, so the traceback is kept as it was first.

    Each ``raise`` of one error adds to its traceback: for the last of ten thousand tenants it would be that of all.
    """

    error: Exception
    traceback: TracebackType | None


class Programs:
    """The programs to one target, one for each group, each made once, by the first thread that needs it."""

    def __init__(self, target: Target, *, origin: str = "") -> None:
        """``origin`` is the id of the rollout, or of the one it goes on with; without one no footprint is left."""
        self.target = target
        self._origin = origin
        self._made: dict[tuple[str, Target, Footprint | None], Program | _Refusal] = {}
        self._towards: dict[str, Programs] = {}
        self._lock = threading.Lock()

    def for_database(self, facts: Facts) -> Program:
        """What a database with these facts needs next; empty where it is at the target."""
        program = self._to_target(facts)
        if facts.cut_off is None or program.begins_with(*facts.cut_off):
            return program
        # The way to the target leads past a migration that is half done, and would leave that half in the schema.
        return self._to_finish(facts.applied, *facts.cut_off)

    def _to_target(self, facts: Facts) -> Program:
        footprint = Footprint.noted_in(facts)
        if footprint is None or not self._origin or footprint.origin != self._origin:
            target = self.target.in_database(facts) if isinstance(self.target, Before) else self.target
            return self._made_once(facts.applied, target, None)
        # An earlier part of this rollout began here: it is finished, not begun again from where it stands now.
        depends = isinstance(self.target, Relative | Before)
        target = Named(footprint.goal, self.target.title) if depends else self.target
        return self._made_once(facts.applied, target, footprint)

    def _to_finish(self, applied: tuple[MigrationKey, ...], key: MigrationKey, backwards: bool) -> Program:
        """What finishes a migration that was cut off. Raises ``UnknownMigrationsError`` where this code lacks it."""
        migration = on_disk().disk_migrations.get(key)
        if migration is None:
            title = ".".join(key)
            raise UnknownMigrationsError(f"{title}, which was cut off half way", migrations=[title])
        goal = exactly(tuple(recorded_after(applied, [(migration, backwards)])))
        with self._lock:
            finish = self._towards.setdefault(repr((applied, key, backwards)), Programs(goal))
        return finish.for_applied(applied)

    def for_applied(self, applied: tuple[MigrationKey, ...]) -> Program:
        return self._made_once(applied, self.target, None)

    def plan_hash(self) -> str:
        """SHA-256 of the heads that were met, and the migrations each lacked: the same fleet and code give the same.

        What an earlier part of this rollout began is left out, since where that was cut off is chance.
        """
        with self._lock:
            met = {key: made for key, made in self._made.items() if isinstance(made, Program) and key[2] is None}
        plan = sorted(
            [head, [[str(migration), backwards] for migration, backwards in made.plan]]
            for (head, _, _), made in met.items()
        )
        return hashlib.sha256(json.dumps(plan).encode()).hexdigest() if plan else ""

    def _made_once(self, applied: tuple[MigrationKey, ...], target: Target, footprint: Footprint | None) -> Program:
        key = key_of(applied), target, footprint
        # One thread renders at a time: it is pure computation, so a second would only take turns with the first.
        with self._lock:
            if key not in self._made:
                try:
                    self._made[key] = prepare(applied, target, origin=self._origin, footprint=footprint)
                except Exception as error:
                    self._made[key] = _Refusal(error, error.__traceback__)
            made = self._made[key]
        if isinstance(made, _Refusal):
            raise made.error.with_traceback(made.traceback)
        return made

    def result_of(self, facts: Facts) -> tuple[MigrationKey, ...]:
        """What will be applied when a database with these facts has been brought to the target."""
        program = self.for_database(facts)
        return (*recorded_after(facts.applied, program.plan), *program.replacements)


def prepare(
    applied: tuple[MigrationKey, ...], target: Target, *, origin: str = "", footprint: Footprint | None = None
) -> Program:
    """The program from ``applied`` to ``target``. Raises as ``steps_to`` does, and ``IrreversibleError``.

    ``footprint`` is that of an earlier part of the rollout ``origin``, where there was one.
    """
    executor = GroupExecutor(applied)
    plan = executor.steps_to(target)
    replacements = tuple(executor.missing_replacements(recorded_after(applied, plan).keys()))
    if not plan:
        return Program((), replacements, (), None, None)
    if origin and footprint is None:
        footprint = Footprint(origin, standing(executor.loader), tuple(target.nodes(executor)))
    if "contenttypes" in tenant_app_labels():
        # What `migrate` lets contenttypes do to its plan on pre_migrate, done once, before the plan is prepared.
        _inject_content_type_renames(executor, plan)
    backwards = plan[0][1]
    apps_before = _whole_apps(_state_before(executor))
    migrations = _prepare_backwards(executor, plan) if backwards else _prepare_forwards(executor, plan)
    if footprint is not None:
        migrations = _with_footprints(migrations, applied, footprint)
    return Program(tuple(migrations), replacements, tuple(plan), apps_before, _apps_after(executor, plan))


def recorded_after(applied: tuple[MigrationKey, ...], plan: Iterable[Step]) -> dict[MigrationKey, None]:
    """The records after a plan, in their order."""
    after = dict.fromkeys(applied)
    for migration, backwards in plan:
        for key in recorded_names(migration):
            if backwards:
                after.pop(key, None)
            else:
                after[key] = None
    return after


def recorded_names(migration: Migration) -> list[MigrationKey]:
    """The names a migration is recorded under: a squashed one's are those it replaces as well, as `migrate` has it."""
    return [*((app, name) for app, name in migration.replaces), (migration.app_label, migration.name)]


def _with_footprints(
    migrations: list[PreparedMigration], applied: tuple[MigrationKey, ...], footprint: Footprint
) -> list[PreparedMigration]:
    after, marked = applied, []
    for prepared in migrations:
        after = tuple(recorded_after(after, [(prepared.migration, prepared.backwards)]))
        marked.append(replace(prepared, footprint=footprint.at(after).as_note()))
    return marked


def _prepare_forwards(executor: GroupExecutor, plan: list[Step]) -> list[PreparedMigration]:
    state = _state_before(executor)
    state.apps  # noqa: B018 - renders every model once; each later state renders only what its operation changes
    prepared = []
    for migration, _ in plan:
        operations = []
        for operation in migration.operations:
            after = state.clone()
            operation.state_forwards(migration.app_label, after)
            prepared_operation = PreparedOperation(operation, _shareable(operation, state), after)
            operations.append(_with_default_kept(prepared_operation, migration.app_label))
            state = after
        prepared.append(PreparedMigration(migration, False, tuple(operations)))
    return prepared


def _prepare_backwards(executor: GroupExecutor, plan: list[Step]) -> list[PreparedMigration]:
    prepared = []
    states = _states_before_each(executor, [migration for migration, _ in plan])
    for migration, _ in plan:
        earlier = states[migration]
        operations: list[PreparedOperation] = []
        for operation in migration.operations:
            if not operation.reversible:
                raise IrreversibleError(f"Operation {operation} in {migration} is not reversible")
            later = earlier.clone()
            operation.state_forwards(migration.app_label, later)
            prepared_operation = PreparedOperation(operation, _shareable(operation, later), earlier)
            operations.insert(0, _with_default_kept(prepared_operation, migration.app_label))
            earlier = later
        prepared.append(PreparedMigration(migration, True, tuple(operations)))
    return prepared


def _states_before_each(executor: GroupExecutor, migrations: list[Migration]) -> dict[Migration, ProjectState]:
    """The state before each migration to be taken back, made of the applied ones only."""
    applied = _applied_migrations(executor)
    state = ProjectState(real_apps=executor.loader.unmigrated_apps)
    states: dict[Migration, ProjectState] = {}
    for migration, _ in executor.whole_plan():
        if migration in migrations:
            state.apps  # noqa: B018 - renders, as above
            states[migration] = state
            state = migration.mutate_state(state, preserve=True)
        elif migration in applied:
            migration.mutate_state(state, preserve=False)
    return states


def _state_before(executor: GroupExecutor) -> ProjectState:
    applied = _applied_migrations(executor)
    state = ProjectState(real_apps=executor.loader.unmigrated_apps)
    for migration, _ in executor.whole_plan():
        if migration in applied:
            migration.mutate_state(state, preserve=False)
    return state


def apps_of(applied: tuple[MigrationKey, ...]) -> StateApps:
    """The models of a database where these migrations are applied."""
    return _apps_after(GroupExecutor(applied), [])


def state_of(executor: GroupExecutor) -> ProjectState:
    """The state that the executor's applied migrations make, with its models rendered whole."""
    state = _state_before(executor)
    _whole_apps(state)
    return state


def _apps_after(executor: GroupExecutor, plan: list[Step]) -> StateApps:
    """The models as ``post_migrate`` receivers see them."""
    applied = _applied_migrations(executor)
    for migration, backwards in plan:
        if backwards:
            applied.discard(migration)
        else:
            applied.add(migration)
    state = ProjectState(real_apps=executor.loader.unmigrated_apps)
    for migration, _ in executor.whole_plan():
        if migration in applied:
            migration.mutate_state(state, preserve=False)
    return _whole_apps(state)


def _whole_apps(state: ProjectState) -> StateApps:
    """All models, rendered with their relations; those without migrations as they are now, as `migrate` does it."""
    rendered = state.apps
    with rendered.bulk_update():
        keys = [(real.app_label, real.name_lower) for real in rendered.real_models]
        for key in keys:
            rendered.unregister_model(*key)
    rendered.render_multiple([ModelState.from_model(installed_apps.get_model(*key)) for key in keys])
    return rendered


def _applied_migrations(executor: GroupExecutor) -> set[Migration]:
    nodes = executor.loader.graph.nodes
    return {nodes[key] for key in executor.loader.applied_migrations if key in nodes}


def _shareable(operation: Operation, state: ProjectState) -> ProjectState:
    """A state that threads may share whatever the operation does with it.

    ``RunPython`` throws away the models of a state that was rendered with delays and renders them again, in each
    thread. Operations that may do so, or that we do not know, get a state of their own, rendered whole.
    """
    if type(operation).__module__ in SCHEMA_OPERATIONS:
        return state
    whole = ProjectState(models={key: model.clone() for key, model in state.models.items()}, real_apps=state.real_apps)
    whole.apps  # noqa: B018 - renders, whole
    return whole


def _own(operation: Operation) -> Operation:
    """A copy of an operation, for one database alone.

    ``RenameModel`` and ``RenameIndex`` swap their two names to run backwards, and swap them back when they are through.
    Another thread at the same operation, or at a program that has it, would meanwhile take the new name for the old.
    """
    own = copy.copy(operation)
    inside = getattr(operation, "database_operations", None)
    if inside is not None:
        own.database_operations = [_own(one) for one in inside]  # type: ignore[attr-defined]  # it has them
    return own


def _with_default_kept(prepared: PreparedOperation, app_label: str) -> PreparedOperation:
    """``preserve_default=False`` without its side effect on a state that threads share.

    Django gives the later state's field the default, runs the SQL, and takes it away again: meanwhile another thread's
    tenant would find it missing, and keep a DEFAULT in its schema, or fill rows with another value. Here a state of the
    operation's own has the default from the start, and the operation leaves it alone.
    """
    operation = prepared.operation
    if not isinstance(operation, AddField | AlterField) or operation.preserve_default:
        return prepared
    kept = copy.copy(operation)
    kept.preserve_default = True
    model, after = operation.model_name_lower, prepared.after.clone()
    if operation.name in after.models[app_label, model].fields:
        with_default = after.models[app_label, model].fields[operation.name].clone()
        with_default.default = operation.field.default
        after.alter_field(app_label, model, operation.name, with_default, preserve_default=True)
    return PreparedOperation(kept, prepared.before, after)


def _inject_content_type_renames(executor: GroupExecutor, plan: list[Step]) -> None:
    apps = _whole_apps(_state_before(executor))
    injected: Callable[..., Any] = inject_rename_contenttypes_operations
    injected(plan=plan, apps=apps, using=f"tenant_{'0' * 32}")
