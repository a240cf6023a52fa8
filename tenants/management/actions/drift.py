"""``tenants drift``: tenants whose schema is not what their recorded migrations make."""

from __future__ import annotations

import json
from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.management.arguments import add_format, positive
from tenants.rollout.drift import find_drift
from tenants.rollout.request import DEFAULT_WORKERS
from tenants.rollout.selection import Selection

HELP = "Compare each tenant's schema with what its recorded migrations make. Exit 1 if one differs."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", nargs="*", metavar="SLUG", help="Only these (default: all).")
    parser.add_argument("--workers", type=positive, default=DEFAULT_WORKERS, metavar="N", help="Looked at at a time.")
    add_format(parser)


def run(options: dict[str, Any], out: TextIO) -> int:
    tenants = Selection(slugs=tuple(options["slug"])).tenants()
    drifted = find_drift(tenants, workers=options["workers"])
    if options["format"] == "json":
        found = [
            {"tenant": one.tenant, "missing": one.missing, "added": one.added, "error": one.error} for one in drifted
        ]
        out.write(json.dumps(found) + "\n")
    else:
        for one in drifted:
            out.write(f"{one.tenant}: {one.error or 'differs from what its migrations make'}\n")
            out.writelines(f"  - {line}\n" for line in one.missing)
            out.writelines(f"  + {line}\n" for line in one.added)
        out.write(f"{len(drifted)} of {len(tenants)} tenants drifted\n")
    return 1 if drifted else 0
