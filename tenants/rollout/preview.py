"""What people and scripts read of a rollout that is only looked at: ``--plan``, ``--sql`` and ``--check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenants.rollout.lint import Finding
from tenants.rollout.locks import LockMode, TableLock
from tenants.rollout.observation import Observation, Observed
from tenants.rollout.program import PreparedMigration
from tenants.rollout.progress import count
from tenants.rollout.report import failures_in_words, few, head_in_words, skipped_in_words
from tenants.rollout.rollback import Rollback
from tenants.rollout.survey import GroupPlan, Survey, sql_of


def in_words(survey: Survey, *, target: str, observed: Sequence[Observed] | None = None) -> str:
    """One paragraph a group. ``observed`` has one entry for each of the survey's groups that are behind."""
    lines = []
    unseen: Sequence[None] = [None] * len(survey.behind)
    for plan, seen in zip(survey.behind, unseen if observed is None else observed, strict=True):
        lines += _group_in_words(plan, seen, target)
    up_to_date = sum(len(plan.group.tenants) for plan in survey.plans if not plan.is_needed)
    if up_to_date:
        lines.append(f"{count(up_to_date, 'tenant')} already where {target} wants them")
    if survey.skipped:
        lines.append(f"{count(len(survey.skipped), 'tenant')} skipped: {few([one.slug for one in survey.skipped])}")
    lines += failures_in_words(list(survey.failures))
    return "\n".join(lines) or "no tenants"


def rollback_in_words(rollback: Rollback) -> str:
    """What taking a rollout back would do: one paragraph a group, and who is left alone."""
    taken = rollback.rollout
    by = f" by {taken.who}" if taken.who else ""
    lines = [f"rollout {taken.pk} to {taken.target}, {taken.state}, begun {taken.started_at:%Y-%m-%d %H:%M} UTC{by}"]
    if rollback.survey.plans or rollback.survey.failures:
        lines.append(in_words(rollback.survey, target=rollback.title))
    lines += skipped_in_words(rollback.skipped)
    if rollback.request is None:
        lines.append("It changed no tenant that is there still.")
    elif rollback.request.moves_fleet:
        lines.append("New tenants are made where the fleet then stands.")
    return "\n".join(lines)


def as_sql(survey: Survey, *, target: str) -> str:
    """``--sql``: what each group would run."""
    lines = []
    for plan in survey.behind:
        lines.append(f"-- {_headline(plan, target)}: {few([tenant.slug for tenant in plan.group.tenants])}")
        lines += [*sql_of(plan), ""]
    lines += [f"-- {line}" for line in failures_in_words(list(survey.failures))]
    return "\n".join(lines) or "-- nothing to do"


def as_list(survey: Survey, observed: Sequence[Observed], *, with_sql: bool) -> list[dict[str, Any]]:
    """What each group would run, for scripts; ``with_sql`` adds the SQL."""
    return [_group_as_dict(plan, seen, with_sql=with_sql) for plan, seen in zip(survey.behind, observed, strict=True)]


def _group_in_words(plan: GroupPlan, seen: Observed | None, target: str) -> list[str]:
    lines = [_headline(plan, target) + (_locks_in_words(seen) if seen and plan.migrations else "")]
    for number, prepared in enumerate(plan.migrations):
        lines.append(f"  {'take back ' if prepared.backwards else ''}{prepared.title}")
        for step, operation in zip(prepared.operations, _operations(seen, number, prepared), strict=True):
            lines.append(f"    {step.operation.describe()}")
            lines += [f"      {line}" for line in _operation_in_words(operation)] if operation else []
    if plan.replacements:
        lines.append(f"  record as replaced: {', '.join('.'.join(key) for key in plan.replacements)}")
    if plan.unfinished:
        lines.append(f"  finish what an earlier run left undone on {count(plan.unfinished, 'tenant')}")
    return lines + [f"  {note}" for note in (seen.notes if seen else ())]


def _headline(plan: GroupPlan, target: str) -> str:
    operations = sum(len(prepared.operations) for prepared in plan.migrations)
    return (
        f"{count(len(plan.group.tenants), 'tenant')} at {head_in_words(plan.group.head)} -> {target}: "
        f"{count(len(plan.migrations), 'migration')}, {count(operations, 'operation')}"
    )


def _locks_in_words(seen: Observed) -> str:
    """The headline's end."""
    if seen.error is not None:
        return f"; locks could not be observed: {seen.error}"
    holding = _holding_access_exclusive(seen)
    unseen = sum(operation.error is not None for operation in seen.operations)
    verb = "holds" if holding == 1 else "hold"
    return f"; {holding} {verb} {LockMode.ACCESS_EXCLUSIVE}" + (f", {unseen} could not be observed" if unseen else "")


def _holding_access_exclusive(seen: Observed) -> int:
    return sum(operation.holds_access_exclusive for operation in seen.operations)


def _operations(seen: Observed | None, number: int, prepared: PreparedMigration) -> Sequence[Observation | None]:
    """What was seen of each operation of the migration with this number; None of each, if nothing was."""
    return seen.migrations[number] if seen and seen.migrations else [None] * len(prepared.operations)


def _operation_in_words(operation: Observation) -> list[str]:
    lines = [f"could not be observed: {operation.error}"] if operation.error else []
    lines += ["runs Python: locks what it touches"] if operation.runs_python else []
    for lock in operation.locks:
        lines.append(f"locks {lock.table}: {lock.mode}, {lock.mode.blocks}; {_done_under(lock, operation)}")
    return [*(lines or ["locks no table that is in use"]), *map(_finding_in_words, operation.findings)]


def _done_under(lock: TableLock, operation: Observation) -> str:
    if operation.documented:
        return "no rewrite (as PostgreSQL documents it)"
    if lock.rewrites:
        return "rewrites the table"
    return "reads all its rows, no rewrite" if lock.scans else "no rewrite"


def _finding_in_words(finding: Finding) -> str:
    kind = "breaks code that is still running" if finding.breaks_running_code else "unsafe"
    return f"{kind}: {finding.message} [{finding.linter} {finding.code}]"


def _group_as_dict(plan: GroupPlan, seen: Observed, *, with_sql: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "head": plan.group.head,
        "tenants": [tenant.slug for tenant in plan.group.tenants],
        "migrations": [
            _migration_as_dict(prepared, _operations(seen, number, prepared))
            for number, prepared in enumerate(plan.migrations)
        ],
        "access_exclusive": None if seen.error else _holding_access_exclusive(seen),
        "not_observed": seen.error,
        "notes": list(seen.notes),
    }
    return {**described, "sql": "\n".join(sql_of(plan))} if with_sql else described


def _migration_as_dict(prepared: PreparedMigration, seen: Sequence[Observation | None]) -> dict[str, Any]:
    described = [step.operation.describe() for step in prepared.operations]
    return {
        "migration": prepared.title,
        "backwards": prepared.backwards,
        "operations": described,
        "observed": [_operation_as_dict(*one) for one in zip(described, seen, strict=True)],
    }


def _operation_as_dict(description: str, seen: Observation | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    return {
        "operation": description,
        "locks": [
            {"table": lock.table, "mode": str(lock.mode), "rewrites": lock.rewrites, "scans": lock.scans}
            for lock in seen.locks
        ],
        "runs_python": seen.runs_python,
        "documented": seen.documented,
        "not_observed": seen.error,
        "warnings": [vars(finding) for finding in seen.findings],
    }
