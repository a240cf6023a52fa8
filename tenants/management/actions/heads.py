"""``tenants heads``: where the fleet stands, asked of every tenant's own database."""

from __future__ import annotations

import json
from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.management.arguments import add_format, positive
from tenants.management.tables import write_table
from tenants.models import Tenant
from tenants.rollout.report import head_in_words
from tenants.rollout.request import DEFAULT_WORKERS
from tenants.rollout.selection import Selection
from tenants.rollout.survey import survey
from tenants.rollout.target import latest

HELP = "Show how many tenants stand at which head, as their own databases say. Exit 1 if one cannot be asked."
SHOWN = 3


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--workers", type=positive, default=DEFAULT_WORKERS, metavar="N", help="Asked at a time.")
    add_format(parser)


def run(options: dict[str, Any], out: TextIO) -> int:
    found = survey(Selection().tenants(), latest(), workers=options["workers"])
    _refresh(found)
    groups: list[dict[str, Any]] = [
        {
            "head": plan.group.head,
            "behind": plan.is_needed,
            "count": len(plan.group.tenants),
            "tenants": [tenant.slug for tenant in plan.group.tenants],
        }
        for plan in found.plans
    ]
    if options["format"] == "json":
        out.write(json.dumps(groups) + "\n")
    else:
        rows = [
            (str(group["count"]), "behind" if group["behind"] else "-", head_in_words(group["head"]), _few(group))
            for group in groups
        ]
        write_table(out, ("tenants", "behind", "head", "which"), rows, empty="There are no tenants in service.")
    for failed in found.failures:
        out.write(f"{failed.tenant} cannot be asked: {failed.failure.message}\n") if options[
            "format"
        ] == "text" else None
    return 1 if found.failures else 0


def _refresh(found: Any) -> None:
    """What lists and requests show of a tenant's head is a cache; having asked, make it right."""
    stale = []
    for plan in found.plans:
        for tenant in plan.group.tenants:
            if tenant.head != plan.group.head:
                tenant.head = plan.group.head
                stale.append(tenant)
    Tenant.objects.bulk_update(stale, ["head"], batch_size=500)


def _few(group: dict[str, Any]) -> str:
    slugs = group["tenants"]
    return ", ".join(slugs[:SHOWN]) + (f" and {len(slugs) - SHOWN} more" if len(slugs) > SHOWN else "")
