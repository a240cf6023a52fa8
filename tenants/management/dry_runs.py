"""``--plan``, ``--sql`` and ``--check``: what a rollout would do, changing nothing.

Apart from the command, which imports it only when it is asked for: looking ahead needs much that a rollout does not.
"""

from __future__ import annotations

import json
import time
from typing import Any

from tenants.management.rollouts import NOT_ALL_THERE, Write
from tenants.rollout import preview, report
from tenants.rollout.observe import observe
from tenants.rollout.preconditions import require_main_migrated
from tenants.rollout.request import Request
from tenants.rollout.survey import Survey, survey


def show(request: Request, options: dict[str, Any], write: Write) -> int:
    """Write what would be done with ``write``, and give the exit code."""
    require_main_migrated()
    began = time.perf_counter()
    found = survey(request.selection.tenants(), request.target, workers=request.workers)
    if options["sql"] and options["format"] == "text":
        write(preview.as_sql(found, target=request.target.title))
    else:
        _show_plans(found, request.target.title, options, write, began=began)
    return NOT_ALL_THERE if found.failures or (options["check"] and found.behind) else 0


def _show_plans(found: Survey, target: str, options: dict[str, Any], write: Write, *, began: float) -> None:
    observed = None if options["check"] else [observe(plan) for plan in found.behind]
    if options["format"] == "text":
        write(preview.in_words(found, target=target, observed=observed))
        return
    result = report.survey_as_dict(found, target=target, seconds=time.perf_counter() - began)
    if observed is not None:
        result["plan"] = preview.as_list(found, observed, with_sql=options["sql"])
    write(json.dumps(result))
