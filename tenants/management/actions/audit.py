"""``tenants audit``: whether PostgreSQL's wall between tenants stands, tried on every tenant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.databases.audit.finding import Finding, Findings
from tenants.databases.audit.run import audit
from tenants.management.arguments import add_format, positive
from tenants.management.counting import Counter
from tenants.rollout.progress import count
from tenants.rollout.request import DEFAULT_WORKERS
from tenants.rollout.selection import Selection

HELP = "Look, and try, whether each tenant's role can reach its own database only. Exit 1 if something is wrong."
SHOWN = 3


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", nargs="*", metavar="SLUG", help="Only these (default: all, and what no tenant owns).")
    parser.add_argument("--fix", action="store_true", help="Mend what can be mended without loss; nothing is dropped.")
    parser.add_argument("--workers", type=positive, default=DEFAULT_WORKERS, metavar="N", help="Looked at at a time.")
    add_format(parser)


def run(options: dict[str, Any], out: TextIO) -> int:
    tenants = Selection(slugs=tuple(options["slug"])).tenants()
    found = audit(
        tenants,
        whole=not options["slug"],
        fix=options["fix"],
        workers=options["workers"],
        on_tenant=Counter(len(tenants)).step,
    )
    result = as_dict(found)
    if options["format"] == "json":
        out.write(json.dumps({"tenants": len(tenants), **result}) + "\n")
    else:
        out.writelines(f"mended: {_in_words(problem)}\n" for problem in result["mended"])
        for problem in result["left"]:
            out.write(f"{_in_words(problem)}\n")
            out.writelines(f"    {line}\n" for line in (problem["by_hand"], problem["why_not"]) if line)
        mended, left = len(result["mended"]), len(result["left"])
        out.write(f"{count(len(tenants), 'tenant')} audited; {count(left, 'problem')} left, {mended} mended\n")
    return 1 if found.left else 0


def as_dict(found: Findings) -> dict[str, Any]:
    """Equal problems are one, with all they were found of; what to do by hand is that for the first."""
    return {"mended": _grouped(found.mended), "left": _grouped(found.left)}


def _grouped(found: Iterable[Finding]) -> list[dict[str, Any]]:
    by_problem = groupby(sorted(found, key=lambda one: (one.problem, one.subject)), key=lambda one: one.problem)
    groups = [(problem, list(same)) for problem, same in by_problem]
    return [
        {
            "problem": problem,
            "count": len(same),
            "of": [one.subject for one in same],
            "by_hand": same[0].by_hand or same[0].statement,
            "why_not": same[0].why_not,
        }
        for problem, same in sorted(groups, key=lambda group: (-len(group[1]), group[0]))
    ]


def _in_words(problem: dict[str, Any]) -> str:
    subjects, more = problem["of"][:SHOWN], problem["count"] - SHOWN
    return f"{', '.join(subjects)}{f' and {more:,} more' if more > 0 else ''}: {problem['problem']}"
