"""The peer's fleet: a schema per tenant in the database `django_tenants`, restored from a copy of that database.

`python -m benchmarks.django_tenants.fleet grow TENANTS WORK.json`, `... restore`; as `benchmarks.fleet`. The work has
no SQL: nothing is replayed here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

django.setup()

# Models can be imported only now, hence E402.
import psycopg2  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from benchmarks.django_tenants.customers.models import Customer  # noqa: E402

FLEET = "django_tenants"
START = "django_tenants_start"
QUIETLY: dict[str, Any] = {"executor": "multiprocessing", "verbosity": 0, "interactive": False}


def grow(size: str, work: str) -> None:
    """Make the tenants that are missing, at the rollout's start, and copy the database as it then is."""
    if exists(START):
        restore()
    elif not exists(FLEET):
        on_server(f"CREATE DATABASE {FLEET}")
    call_command("migrate_schemas", shared=True, **QUIETLY)
    for number in range(Customer.objects.count(), int(size)):
        customer = Customer.objects.create(schema_name=f"tenant_{number}")
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {customer.schema_name}")
    # Later ones make indexes concurrently, and those of several schemas of one database would wait for each other.
    for start in (("tenant_data", "0001"), ("notes", "0001")):
        call_command("migrate_schemas", *start, tenant=True, **QUIETLY)
    Path(work).write_text(json.dumps({"sessions": sessions(), "sql": []}))
    connection.close()
    copy(FLEET, START)


def restore() -> None:
    copy(START, FLEET)


def sessions() -> list[dict[str, str]]:
    """How each tenant's schema is reached."""
    names = Customer.objects.values_list("schema_name", flat=True)
    return [server() | {"dbname": FLEET, "options": f"-c search_path={name}"} for name in names]


def copy(source: str, target: str) -> None:
    on_server(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)", f"CREATE DATABASE {target} TEMPLATE {source}")


def exists(name: str) -> bool:
    return bool(on_server(f"SELECT FROM pg_database WHERE datname = '{name}'"))


def on_server(*statements: str) -> int:
    """Run them outside of any transaction; how many rows the last one gave."""
    session = psycopg2.connect(**server(), dbname="postgres")
    session.autocommit = True
    try:
        with session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return int(cursor.rowcount)
    finally:
        session.close()


def server() -> dict[str, str]:
    settings = connection.settings_dict
    return {"host": settings["HOST"], "port": settings["PORT"], "user": settings["USER"]}


ACTIONS: dict[str, Callable[..., None]] = {"grow": grow, "restore": restore}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](*sys.argv[2:])
