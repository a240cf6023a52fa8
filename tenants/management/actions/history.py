"""``tenants history``: past rollouts, one tenant's part in them, or one rollout with its failures."""

from __future__ import annotations

import json
from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from tenants.management.arguments import add_format, positive
from tenants.management.tables import write_table
from tenants.models import Rollout, RolloutAttempt
from tenants.rollout.ledger import find_rollout
from tenants.rollout.outcome import Failure
from tenants.rollout.report import failures_in_words, skipped_in_words
from tenants.rollout.result import TenantFailure
from tenants.routing.registry import directory

HELP = "Show past rollouts; with a slug, what each did to that tenant; with --rollout, one of them and its failures."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", nargs="?", metavar="SLUG")
    parser.add_argument("--rollout", metavar="ID", help="This one, by its id or the beginning, with its failures.")
    parser.add_argument(
        "--traceback", action="store_true", help="With --rollout: the tracebacks too.", dest="tracebacks"
    )
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="The newest N (default 20).")
    add_format(parser)


def run(options: dict[str, Any], out: TextIO) -> int:
    if options["slug"] and options["rollout"]:
        raise CommandError("Name a tenant or a rollout, not both.", returncode=2)
    if options["rollout"]:
        _show_one(find_rollout(options["rollout"]), options, out)
        return 0
    rows = _of_tenant(options) if options["slug"] else _of_fleet(options)
    if options["format"] == "json":
        out.write(json.dumps(rows) + "\n")
        return 0
    headings = tuple(rows[0]) if rows else ()
    write_table(out, headings, [tuple(_cell(value) for value in row.values()) for row in rows], empty="No rollout yet.")
    return 0


def _of_fleet(options: dict[str, Any]) -> list[dict[str, Any]]:
    rollouts = Rollout.objects.select_related("started_by").order_by("-started_at")
    rows = [as_dict(rollout) for rollout in rollouts[: options["limit"]]]
    if options["format"] == "text":
        for row in rows:
            # As much as tells one from the other; commands take the beginning of an id.
            row |= {"rollout": row["rollout"][:8], "version": row["version"][:12]}
    return rows


def as_dict(rollout: Rollout) -> dict[str, Any]:
    """A rollout as ``--format json`` lists it."""
    return {
        "started_at": rollout.started_at.isoformat(timespec="seconds"),
        "rollout": str(rollout.id),
        "target": rollout.target,
        "state": rollout.state,
        "total": rollout.total,
        **{state.value: getattr(rollout, state.value) for state in RolloutAttempt.State},
        "pending": rollout.pending,
        "seconds": None if rollout.seconds is None else round(rollout.seconds, 3),
        "by": rollout.who,
        "version": rollout.code_version,
    }


def _show_one(rollout: Rollout, options: dict[str, Any], out: TextIO) -> None:
    attempts = rollout.attempts.select_related("tenant").exclude(message="", error="")
    failed = [attempt for attempt in attempts if attempt.state == RolloutAttempt.State.FAILED]
    skipped = [attempt for attempt in attempts if attempt.state == RolloutAttempt.State.SKIPPED]
    about = as_dict(rollout) | {
        "wanted": rollout.wanted + (f", by {rollout.wanted_by}" if rollout.wanted_by else ""),
        "process": rollout.process,
        "plan_hash": rollout.plan_hash,
        "options": {name: value for name, value in rollout.options.items() if value},
    }
    if options["format"] == "json":
        about["failures"] = [_failure_as_dict(one, with_traceback=options["tracebacks"]) for one in failed]
        about["skipped"] = [{"tenant": str(one.tenant), "reason": one.message} for one in skipped]
        out.write(json.dumps(about) + "\n")
        return
    for name, value in about.items():
        out.write(f"{name.replace('_', ' '):<12}{_cell(value)}\n")
    lines = failures_in_words([TenantFailure(_slug(one), _failure(one), one.attempts) for one in failed])
    lines += skipped_in_words([(str(one.tenant), one.message) for one in skipped])
    out.writelines(f"{line}\n" for line in lines)
    if options["tracebacks"]:
        out.writelines(f"\n{_slug(one) or 'the template'}:\n{one.traceback}" for one in failed)


def _failure_as_dict(attempt: RolloutAttempt, *, with_traceback: bool) -> dict[str, Any]:
    return {
        "tenant": _slug(attempt),
        "migration": attempt.migration or None,
        "sqlstate": attempt.sqlstate or None,
        "error": attempt.error,
        "message": attempt.message,
        "attempts": attempt.attempts,
        **({"traceback": attempt.traceback} if with_traceback else {}),
    }


def _failure(attempt: RolloutAttempt) -> Failure:
    return Failure(
        attempt.migration or None, attempt.sqlstate or None, attempt.error, attempt.message, attempt.traceback
    )


def _slug(attempt: RolloutAttempt) -> str | None:
    """The tenant's; None for the template, or a tenant that has gone."""
    return attempt.tenant.slug if attempt.tenant is not None else None


def _of_tenant(options: dict[str, Any]) -> list[dict[str, Any]]:
    tenant = directory.find(options["slug"])
    attempts = tenant.rollout_attempts.select_related("rollout").order_by("-id")[: options["limit"]]
    return [
        {
            "at": attempt.finished_at.isoformat(timespec="seconds"),
            "rollout": str(attempt.rollout_id),
            "target": attempt.rollout.target,
            "state": attempt.state,
            "migrations": attempt.applied,
            "seconds": round(attempt.seconds, 3),
            "failure": f"{attempt.migration}: {attempt.error}: {attempt.message}" if attempt.error else None,
        }
        for attempt in attempts
    ]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {one}" for name, one in value.items()) or "-"
    return str(value if value not in (None, "") else "-")
