"""``tenants list``: every tenant on a line."""

from __future__ import annotations

import json
from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.management.arguments import add_format, key_value
from tenants.management.tables import write_table
from tenants.models import Tenant
from tenants.rollout.heads import is_behind
from tenants.rollout.report import head_in_words

HELP = "List tenants, with their state and the head last seen."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--state", choices=Tenant.State.values)
    parser.add_argument("--server", metavar="NAME")
    parser.add_argument("--label", action="append", default=[], type=key_value, metavar="KEY=VALUE")
    parser.add_argument("--behind", action="store_true", help="Only those behind the code.")
    add_format(parser)


def run(options: dict[str, Any], out: TextIO) -> int:
    tenants = Tenant.objects.select_related("server")
    if options["state"]:
        tenants = tenants.filter(state=options["state"])
    if options["server"]:
        tenants = tenants.filter(server__name=options["server"])
    for key, value in options["label"]:
        tenants = tenants.filter(labels__contains={key: value})
    rows = [as_dict(tenant) for tenant in tenants]
    if options["behind"]:
        rows = [row for row in rows if row["behind"]]
    if options["format"] == "json":
        out.write(json.dumps(rows) + "\n")
        return 0
    write_table(
        out,
        ("slug", "state", "server", "behind", "head", "alias"),
        [
            (row["slug"], row["state"], row["server"], _yes(row["behind"]), head_in_words(row["head"]), row["alias"])
            for row in rows
        ],
        empty="There are no tenants. Make one with `manage.py tenants create SLUG`.",
    )
    return 0


def as_dict(tenant: Tenant) -> dict[str, Any]:
    """A tenant as ``--format json`` lists it."""
    return {
        "id": str(tenant.id),
        "slug": tenant.slug,
        "name": tenant.name,
        "alias": tenant.alias,
        "server": tenant.server.name,
        "state": tenant.state,
        "head": tenant.head,
        "behind": is_behind(tenant),
        "labels": tenant.labels,
        "created_at": tenant.created_at.isoformat(),
    }


def _yes(behind: bool) -> str:
    return "behind" if behind else "-"
