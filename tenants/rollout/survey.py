"""Where the selected tenants really stand, and what a rollout would do: asked of each database, changing nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.db import connections
from django.db.migrations.operations.base import Operation

from tenants.databases.bookkeeping import Facts, MigrationKey
from tenants.databases.sessions import SessionLimits, owner_session
from tenants.errors import RolloutRefusedError
from tenants.models import Tenant
from tenants.rollout.heads import Head, head_of, key_of
from tenants.rollout.outcome import Failure, describe
from tenants.rollout.program import PreparedMigration, Programs, recorded_names
from tenants.rollout.result import TenantFailure
from tenants.rollout.target import Target
from tenants.rollout.worker import look


@dataclass
class Group:
    """Tenants with the same head."""

    applied: tuple[MigrationKey, ...]
    tenants: list[Tenant] = field(default_factory=list)

    @property
    def head(self) -> Head:
        return head_of(self.applied)


@dataclass(frozen=True)
class GroupPlan:
    """What a group needs. ``unfinished`` is how many of its tenants only lack the end of an earlier, cut-off run."""

    group: Group
    migrations: tuple[PreparedMigration, ...]
    replacements: tuple[MigrationKey, ...] = ()
    unfinished: int = 0

    @property
    def is_needed(self) -> bool:
        return bool(self.migrations or self.replacements or self.unfinished)


@dataclass(frozen=True)
class Survey:
    """``plans`` has one entry a group, the largest first; ``skipped`` tenants are not in service."""

    plans: tuple[GroupPlan, ...]
    skipped: tuple[Tenant, ...]
    failures: tuple[TenantFailure, ...]

    @property
    def behind(self) -> list[GroupPlan]:
        return [plan for plan in self.plans if plan.is_needed]


def look_at(
    tenants: Iterable[Tenant], *, workers: int, on_look: Callable[[], None] = lambda: None
) -> tuple[dict[str, tuple[Tenant, Facts]], list[TenantFailure]]:
    """Read each tenant's own record, several at a time: by slug, and those that could not be read."""
    found: dict[str, tuple[Tenant, Facts]] = {}
    failures: list[TenantFailure] = []

    def read(tenant: Tenant) -> Facts | Failure:
        try:
            return look(tenant)
        except Exception as error:
            return describe(error)
        finally:
            connections.close_all()

    asked = list(tenants)
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="silo-survey") as pool:
        for tenant, result in zip(asked, pool.map(read, asked), strict=True):
            if isinstance(result, Failure):
                failures.append(TenantFailure(tenant.slug, result, 1))
            else:
                found[tenant.slug] = (tenant, result)
            on_look()
    return found, failures


def survey(tenants: Iterable[Tenant], target: Target, *, workers: int) -> Survey:
    """What bringing these tenants to the target would do. Raises ``RolloutRefusedError`` where that is so for all."""
    asked = list(tenants)
    in_service = [tenant for tenant in asked if tenant.state == Tenant.State.ACTIVE]
    found, failures = look_at(in_service, workers=workers)
    groups: dict[str, Group] = {}
    unfinished: dict[str, int] = {}
    for tenant, facts in found.values():
        key = key_of(facts.applied)
        groups.setdefault(key, Group(facts.applied)).tenants.append(tenant)
        unfinished[key] = unfinished.get(key, 0) + (facts.post_migrate_due or facts.cut_off is not None)
    programs = Programs(target)
    plans: list[GroupPlan] = []
    refused: RolloutRefusedError | None = None
    for key, group in sorted(groups.items(), key=lambda item: (-len(item[1].tenants), item[1].tenants[0].slug)):
        try:
            program = programs.for_applied(group.applied)
        except Exception as error:
            failures += [TenantFailure(tenant.slug, describe(error), 1) for tenant in group.tenants]
            refused = error if isinstance(error, RolloutRefusedError) else refused
            continue
        plans.append(GroupPlan(group, program.migrations, program.replacements, unfinished[key]))
    if refused is not None and not plans:
        raise refused
    skipped = tuple(tenant for tenant in asked if tenant.state != Tenant.State.ACTIVE)
    return Survey(tuple(plans), skipped, tuple(failures))


def sql_of(plan: GroupPlan) -> list[str]:
    """The SQL that a group would run, line by line. Asks one of its databases for names; changes nothing.

    What cannot be written as SQL stands as a comment, as `sqlmigrate` has it.
    """
    lines: list[str] = []
    with owner_session(plan.group.tenants[0], limits=SessionLimits(read_only=True)) as connection:
        for prepared in plan.migrations:
            lines += ["", f"-- {prepared.title}{' (backwards)' if prepared.backwards else ''}"]
            with connection.schema_editor(collect_sql=True, atomic=prepared.migration.atomic) as editor:
                for step in prepared.operations:
                    editor.collected_sql.append(f"-- {step.operation.describe()}")
                    if not _reduces_to_sql(step.operation):
                        editor.collected_sql.append("-- THIS OPERATION CANNOT BE WRITTEN AS SQL")
                        continue
                    before = len(editor.collected_sql)
                    prepared.run(step, editor)
                    if len(editor.collected_sql) == before:
                        editor.collected_sql.append("-- (no-op)")
            statements = [*editor.collected_sql, *_record_sql(prepared)]
            lines += ["BEGIN;", *statements, "COMMIT;"] if prepared.migration.atomic else statements
    return lines


def _reduces_to_sql(operation: Operation) -> bool:
    """Whether all of it can be written as SQL; what is inside SeparateDatabaseAndState would be run, not collected."""
    inside = getattr(operation, "database_operations", [])
    return operation.reduces_to_sql and all(_reduces_to_sql(one) for one in inside)


def _record_sql(prepared: PreparedMigration) -> list[str]:
    statements = []
    for app, name in recorded_names(prepared.migration):
        if prepared.backwards:
            statements.append(f"DELETE FROM django_migrations WHERE app = '{app}' AND name = '{name}';")
        else:
            statements.append(f"INSERT INTO django_migrations (app, name, applied) VALUES ('{app}', '{name}', now());")
    return statements
