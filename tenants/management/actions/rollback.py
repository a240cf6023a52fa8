"""``tenants rollback``: take back what a rollout did, in the tenants that it advanced."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from tenants.management.arguments import add_format
from tenants.management.rollouts import carry_out, tell
from tenants.rollout import preview, report
from tenants.rollout.observe import observe
from tenants.rollout.preconditions import require_main_migrated
from tenants.rollout.result import Report
from tenants.rollout.rollback import Rollback, plan_rollback

HELP = "Take back what a rollout did: each tenant that it advanced goes to where it stood before, and no other."
REFUSED = 2


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("rollout", metavar="ROLLOUT", help="Its id, or the beginning; see `tenants history`.")
    parser.add_argument("--plan", action="store_true", help="Show what would be done, and change nothing.")
    parser.add_argument("--noinput", action="store_false", dest="interactive", help="Ask nothing.")
    add_format(parser)


def run(options: dict[str, Any], out: TextIO) -> int:
    require_main_migrated()
    rollback = plan_rollback(options["rollout"])
    if options["plan"]:
        out.write(_plan(rollback, as_json=options["format"] == "json") + "\n")
        return 0
    # stdout carries the result alone.
    sys.stderr.write(f"{preview.rollback_in_words(rollback)}\n")
    if rollback.request is None:
        return tell(Report(rollback.title), options, out.write)
    if options["interactive"]:
        _ask()
    return carry_out(rollback.request, options, out.write)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to ask on; say --noinput. No tenant was touched.", returncode=REFUSED)
    sys.stderr.write("Take it back? [yes/no] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("Not taken back; no tenant was touched.", returncode=REFUSED)


def _plan(rollback: Rollback, *, as_json: bool) -> str:
    if not as_json:
        return preview.rollback_in_words(rollback)
    result = report.survey_as_dict(rollback.survey, target=rollback.title, seconds=rollback.seconds)
    result["tenants"]["skipped"] += len(rollback.skipped)
    result["tenants"]["total"] += len(rollback.skipped)
    observed = [observe(plan) for plan in rollback.survey.behind]
    result["plan"] = preview.as_list(rollback.survey, observed, with_sql=False)
    return json.dumps(result)
