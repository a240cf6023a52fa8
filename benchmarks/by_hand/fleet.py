"""The fleet of the loop: databases that are copies of one, each migrated by `migrate`.

`python -m benchmarks.by_hand.fleet grow TENANTS WORK.json`, `... restore`; as `benchmarks.fleet`. The work has no SQL:
nothing is replayed here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import django

django.setup()

# What follows needs the apps, hence E402.
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.management.commands.migrate import Command  # noqa: E402
from django.db import connection, connections  # noqa: E402

from benchmarks.by_hand.settings import ALIASES  # noqa: E402


def grow(size: str, work: str) -> None:
    if int(size) > len(ALIASES):
        raise ValueError(f"{size} tenants are more than the {len(ALIASES)} that the settings name.")
    restore()
    for alias in ALIASES[len(made()) : int(size)]:
        if alias == ALIASES[0]:
            create(alias)
            call_command(Command(), database=alias, verbosity=0)
            restore()
        else:
            create(alias, like=ALIASES[0])
    Path(work).write_text(json.dumps({"sessions": [session(alias) for alias in made()], "sql": []}))


def restore() -> None:
    """Every database back to 0001."""
    for alias in made():
        call_command(Command(), "notes", "0001", database=alias, verbosity=0)
        connections[alias].close()


def made() -> list[str]:
    """The databases that there are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname = ANY(%s) ORDER BY datname", [ALIASES])
        return [name for (name,) in cursor]


def create(alias: str, like: str = "template1") -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {alias} TEMPLATE {like}")


def session(alias: str) -> dict[str, str]:
    """How it is reached."""
    one = settings.DATABASES[alias]
    return {"host": one["HOST"], "port": one["PORT"], "user": one["USER"], "dbname": one["NAME"]}


ACTIONS: dict[str, Callable[..., None]] = {"grow": grow, "restore": restore}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](*sys.argv[2:])
