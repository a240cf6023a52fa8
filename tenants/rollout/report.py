"""What people and scripts read of a rollout: progress on stderr, the result on stdout."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tenants.models import Tenant
from tenants.models.rollout import AttemptState
from tenants.rollout.result import Report, TenantFailure
from tenants.rollout.survey import Survey
from tenants.rollout.worker import Outcome

SHOWN_FAILURES = 20
"""A summary stays readable with thousands of failures: equal ones are one line, and so many lines are shown."""

LINE_EVERY_S = 5.0


class LiveProgress:
    """A bar on a terminal, with failures above it as they happen."""

    def __init__(self, stream: TextIO) -> None:
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(file=stream),
        )

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begun(self, rollout_id: str | None, title: str, total: int) -> None:
        self._title = f"to {title}"
        self._task = self._progress.add_task(self._title, total=total)

    def wave(self, title: str, number: int, of: int, tenants: int) -> None:
        self._progress.update(self._task, description=f"{self._title}, wave {number} of {of} ({title})")

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None:
        if outcome.failure is not None:
            self._progress.console.print(_failure_line(tenant, outcome), markup=False, highlight=False)
        if tenant is not None:
            self._progress.advance(self._task)


class LineProgress:
    """Plain lines where there is no terminal: the beginning, each failure, and now and then how far it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._total = self._done = 0
        self._said = time.monotonic()

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def begun(self, rollout_id: str | None, title: str, total: int) -> None:
        self._total = total
        self._say(f"rollout {rollout_id} to {title}: {count(total, 'tenant')}")

    def wave(self, title: str, number: int, of: int, tenants: int) -> None:
        self._say(f"wave {number} of {of} ({title}): {count(tenants, 'tenant')}")

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None:
        self._done += tenant is not None
        if outcome.failure is not None:
            self._say(_failure_line(tenant, outcome))
        elif time.monotonic() - self._said > LINE_EVERY_S:
            self._say(f"{self._done} of {self._total} tenants")

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        print(line, file=self._stream)


def progress(stream: TextIO | None = None) -> LiveProgress | LineProgress:
    """The progress display that fits the stream (default: stderr)."""
    stream = stream or sys.stderr
    return LiveProgress(stream) if stream.isatty() else LineProgress(stream)


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
    """The summary at a rollout's end, and the next command."""
    counts = report.counts
    parts = [
        f"{counts[AttemptState.MIGRATED]} migrated",
        f"{counts[AttemptState.UP_TO_DATE]} up to date",
        f"{counts[AttemptState.FAILED]} failed",
        f"{counts[AttemptState.SKIPPED]} skipped",
        f"{report.pending} pending",
    ]
    shown = ", ".join(part for part in parts if not part.startswith("0 "))
    state = report.state.replace("_", " ")
    result = f"{shown} of {report.total}" if shown else "there are no tenants" if not report.total else "0 tenants"
    lines = [f"{state}: {result}, to {report.target}, in {report.seconds:.1f} s"]
    lines += failures_in_words(report.failures)
    if report.state == "failed" and any(failed.tenant is None for failed in report.failures):
        lines.append("It failed on the template, so no tenant was touched. Mend the migration and run the same again.")
    elif report.state == "failed":
        lines.append(
            "Tenants that failed stand where they stood before the failed migration. When the cause is mended:"
        )
        lines.append("    manage.py migrate_tenants --only-failed")
    elif report.state == "interrupted" and not report.lost:
        lines.append("Nothing is half done. To go on, run the same command again.")
    if report.lost:
        lines.append(lost_in_words(report))
    return "\n".join(lines)


def lost_in_words(report: Report) -> str:
    return (
        f"The main database was lost: {report.lost}\n"
        "Tenants in hand were finished, and no more were begun. When it is back, this finds out how far each is:\n"
        "    manage.py migrate_tenants --resume"
    )


def head_in_words(head: dict[str, str]) -> str:
    return ", ".join(f"{app}.{name}" for app, name in sorted(head.items())) or "nothing applied"


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


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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


def _failure_line(tenant: Tenant | None, outcome: Outcome) -> str:
    failure = outcome.failure
    assert failure is not None
    where = f" in {failure.migration}" if failure.migration else ""
    return f"{tenant.slug if tenant else 'template'} failed{where}: {failure.error}: {failure.message}"
