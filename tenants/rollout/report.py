"""What people and scripts read of a rollout: progress on stderr, the result on stdout."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tenants.models.rollout import AttemptState
from tenants.rollout.result import Report, TenantFailure

if TYPE_CHECKING:
    from tenants.rollout.survey import Survey

SHOWN_FAILURES = 20
"""A summary stays readable with thousands of failures: equal ones are one line, and so many lines are shown."""


def as_json(report: Report) -> str:
    """The one object of ``--format json``, as the contract has it."""
    return json.dumps(report_as_dict(report))


def report_as_dict(report: Report) -> dict[str, Any]:
    counts = report.counts
    return {
        "rollout": report.rollout,
        "state": report.state,
        "target": report.target,
        "tenants": {
            "total": report.total,
            "migrated": counts[AttemptState.MIGRATED],
            "up_to_date": counts[AttemptState.UP_TO_DATE],
            "failed": counts[AttemptState.FAILED],
            "skipped": counts[AttemptState.SKIPPED],
            "pending": report.pending,
        },
        "seconds": round(report.seconds, 3),
        "failures": [_failure_as_dict(failed) for failed in report.failures],
    }


def survey_as_dict(survey: Survey, *, target: str, seconds: float) -> dict[str, Any]:
    """The same object for ``--check``, and for ``--plan`` and ``--sql``, which add ``preview.as_list``."""
    up_to_date = sum(len(plan.group.tenants) for plan in survey.plans if not plan.is_needed)
    pending = sum(len(plan.group.tenants) for plan in survey.behind)
    return {
        "rollout": None,
        "state": "planned" if survey.behind or survey.failures else "nothing_to_do",
        "target": target,
        "tenants": {
            "total": up_to_date + pending + len(survey.failures) + len(survey.skipped),
            "migrated": 0,
            "up_to_date": up_to_date,
            "failed": len(survey.failures),
            "skipped": len(survey.skipped),
            "pending": pending,
        },
        "seconds": round(seconds, 3),
        "failures": [_failure_as_dict(failed) for failed in survey.failures],
    }


def in_words(report: Report) -> str:
    """The summary at a rollout's end, and the next command. As long for thousands of tenants as for some."""
    counts = report.counts
    numbers = {
        "migrated": counts[AttemptState.MIGRATED],
        "up to date": counts[AttemptState.UP_TO_DATE],
        "failed": counts[AttemptState.FAILED],
        "skipped": counts[AttemptState.SKIPPED],
        "pending": report.pending,
    }
    shown = ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)
    state = report.state.replace("_", " ")
    result = f"{shown} of {report.total:,}" if shown else "there are no tenants" if not report.total else "0 tenants"
    lines = [f"{state}: {result}, to {report.target}, in {report.seconds:.1f} s"]
    lines += failures_in_words(report.failures)
    lines += skipped_in_words(report.skipped)
    if report.aborted_by is not None and report.pending:
        lines.append(f"aborted by {report.aborted_by}")
    return "\n".join(lines + _what_next(report))


def _what_next(report: Report) -> list[str]:
    if report.rollout is None:
        return []
    rollout, migrated = report.rollout[:8], report.counts[AttemptState.MIGRATED]
    lines: list[str] = []
    if report.state == "failed" and any(failed.tenant is None for failed in report.failures):
        lines.append("It failed on the template, so no tenant was touched. When the migration is mended:")
    elif report.state == "failed":
        lines.append(
            "Tenants that failed stand where they stood before the failed migration. When the cause is mended:"
        )
    elif report.state == "interrupted" and not report.lost:
        lines.append("Nothing is half done. To go on:")
    if report.lost:
        lines.append(lost_in_words(report))
    elif lines:
        lines.append(f"    manage.py migrate_tenants --resume {rollout}")
    if migrated:
        lines += ["To take it back where it was done:"]
        lines += [f"    manage.py tenants rollback {rollout}"]
    return lines


def lost_in_words(report: Report) -> str:
    return (
        f"The main database was lost: {report.lost}\n"
        "Tenants in hand were finished, and no more were begun. When it is back, this finds out how far each is:\n"
        "    manage.py migrate_tenants --resume"
    )


def head_in_words(head: dict[str, str]) -> str:
    return ", ".join(f"{app}.{name}" for app, name in sorted(head.items())) or "nothing applied"


def skipped_in_words(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """Slugs and why, equal reasons as one line."""
    alike: dict[str, list[str]] = {}
    for slug, reason in skipped:
        alike.setdefault(reason, []).append(slug)
    return [f"  skipped {few(who)}: {reason}" for reason, who in alike.items()]


def failures_in_words(failures: list[TenantFailure]) -> list[str]:
    """Failures as lines, equal ones as one, and so few that a summary stays readable."""
    alike: dict[tuple[str | None, str, str], list[str]] = {}
    for failed in failures:
        failure = failed.failure
        what = (failure.migration, failure.error, failure.message)
        alike.setdefault(what, []).append(failed.tenant or "the template")
    lines = []
    for (migration, error, message), who in list(alike.items())[:SHOWN_FAILURES]:
        lines.append(f"  failed on {few(who)}: {f'{migration}: ' if migration else ''}{error}: {message}")
    if len(alike) > SHOWN_FAILURES:
        lines.append(f"  and {len(alike) - SHOWN_FAILURES} other errors; all are in --format json")
    return lines


def few(names: list[str], most: int = 5) -> str:
    """The first names, and how many there are beyond."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _failure_as_dict(failed: TenantFailure) -> dict[str, Any]:
    failure = failed.failure
    return {
        "tenant": failed.tenant,
        "migration": failure.migration,
        "sqlstate": failure.sqlstate,
        "error": failure.error,
        "message": failure.message,
        "attempts": failed.attempts,
    }
