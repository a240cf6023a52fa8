"""Silo's fleet for the benchmark: a database per tenant, brought back to where a rollout begins.

`python -m benchmarks.fleet grow TENANTS WORK.json` makes the tenants that are missing and writes what the floor needs,
`{"sessions": [what psycopg2.connect takes], "sql": [statements of the rollout for one tenant]}`.
`python -m benchmarks.fleet restore` takes the migration of five operations back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import django

django.setup()

# Models can be imported only now, hence E402.
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from tenants.databases.clone import drop  # noqa: E402
from tenants.databases.sessions import maintenance  # noqa: E402
from tenants.lifecycle import create_tenant  # noqa: E402
from tenants.models import Installation, Template, Tenant  # noqa: E402
from tenants.rollout.request import Request  # noqa: E402
from tenants.rollout.runner import run_rollout  # noqa: E402
from tenants.rollout.survey import sql_of, survey  # noqa: E402
from tenants.rollout.target import latest, resolve  # noqa: E402


def grow(size: str, work: str) -> None:
    call_command("migrate", verbosity=0)
    for number in range(Tenant.objects.count(), int(size)):
        create_tenant(slug=f"tenant-{number}")
    restore()
    Path(work).write_text(json.dumps({"sessions": sessions(), "sql": statements()}))


def restore() -> None:
    """Every tenant back to 0001; the templates of what comes next are dropped, so that they are made again."""
    report = run_rollout(Request(resolve("notes", "0001")))
    if report.failures or report.pending:
        raise RuntimeError(f"The fleet did not come back to notes.0001: {report.failures}")
    head_key = Installation.current().head_key
    for template in Template.objects.exclude(head_key=head_key):
        with maintenance(template.server) as cursor:
            drop(cursor, template.name)
        template.delete()


def sessions() -> list[dict[str, str]]:
    """How each tenant's database is reached as the platform's role."""
    settings = connections["default"].settings_dict
    server = {"host": settings["HOST"], "port": settings["PORT"], "user": settings["USER"]}
    found = Tenant.objects.order_by("slug")
    return [server | {"dbname": tenant.alias, "options": "-c search_path=public"} for tenant in found]


def statements() -> list[str]:
    """The SQL of the rollout, its record included, as Silo itself would run it; empty where there is no tenant."""
    tenants = list(Tenant.objects.select_related("server")[:1])
    return [
        line
        for plan in survey(tenants, latest(), workers=1).plans
        for line in sql_of(plan)
        if line and not line.startswith(("--", "BEGIN", "COMMIT"))
    ]


ACTIONS: dict[str, Callable[..., None]] = {"grow": grow, "restore": restore}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](*sys.argv[2:])
