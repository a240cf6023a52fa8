"""``tenants history``: past rollouts, or one tenant's part in them."""

from __future__ import annotations

import json
from typing import Any, TextIO

from django.core.management.base import CommandParser
from django.db.models import Count, Q

from tenants.management.arguments import add_format, positive
from tenants.management.tables import write_table
from tenants.models import Rollout, RolloutAttempt
from tenants.routing.registry import directory

HELP = "Show past rollouts; with a slug, what each did to that tenant."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", nargs="?", metavar="SLUG")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="The newest N (default 20).")
    add_format(parser)


def run(options: dict[str, Any], out: TextIO) -> int:
    rows = _of_tenant(options) if options["slug"] else _of_fleet(options)
    if options["format"] == "json":
        out.write(json.dumps(rows) + "\n")
        return 0
    headings = tuple(rows[0]) if rows else ()
    write_table(out, headings, [tuple(_cell(value) for value in row.values()) for row in rows], empty="No rollout yet.")
    return 0


def _of_fleet(options: dict[str, Any]) -> list[dict[str, Any]]:
    counted = {
        str(state): Count("attempts", filter=Q(attempts__state=state, attempts__tenant__isnull=False))
        for state in RolloutAttempt.State
    }
    return [
        {
            "started_at": rollout.started_at.isoformat(timespec="seconds"),
            "rollout": str(rollout.id),
            "target": rollout.target,
            "state": rollout.state,
            **{name: getattr(rollout, name) for name in counted},
        }
        for rollout in Rollout.objects.annotate(**counted).order_by("-started_at")[: options["limit"]]
    ]


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
    return str(value if value not in (None, "") else "-")
