"""Who takes part, and what each runs. A contestant is a command: a whole process from its start to its end."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

WORKERS = 4
"""Threads of Silo and of the floor, and processes of the tuned django-tenants: Silo's default."""

PYTHON = sys.executable
PEER_PYTHON = f"{sys.prefix}-django-tenants/bin/python"
"""Of the virtual environment that `make bench` makes for django-tenants, beside the project's own."""


@dataclass(frozen=True)
class Fleet:
    """Where tenants live. ``module`` has the actions `grow`, which writes the floor's ``work``, and `restore`."""

    name: str
    python: str
    module: str
    settings: str

    def grow(self, size: int, folder: Path) -> tuple[str, ...]:
        return (self.python, "-m", self.module, "grow", str(size), str(self.work(folder)))

    def restore(self) -> tuple[str, ...]:
        return (self.python, "-m", self.module, "restore")

    def floor(self, what: str, folder: Path) -> tuple[str, ...]:
        return (self.python, "-m", "benchmarks.floor", str(self.work(folder)), what, str(WORKERS))

    def work(self, folder: Path) -> Path:
        return folder / f"{self.name}.json"


@dataclass(frozen=True)
class Contestant:
    """``slow`` ones are repeated less often. The floor has no ``command``: its own depends on the phase."""

    name: str
    what: str
    fleet: Fleet
    settings: str
    command: tuple[str, ...] = ()
    slow: bool = False


SILO = Fleet("silo", PYTHON, "benchmarks.fleet", "benchmarks.settings")
SCHEMAS = Fleet("schemas", PEER_PYTHON, "benchmarks.django_tenants.fleet", "benchmarks.django_tenants.settings")
DATABASES = Fleet("databases", PYTHON, "benchmarks.by_hand.fleet", "benchmarks.by_hand.settings")
FLEETS = (SILO, SCHEMAS, DATABASES)

MIGRATE_SCHEMAS = (
    *(PEER_PYTHON, "-m", "django", "migrate_schemas", "--tenant"),
    *("--executor=multiprocessing", "--noinput", "--verbosity=0"),
)
CONTESTANTS = (
    Contestant(
        "silo",
        f"`manage.py migrate_tenants --workers {WORKERS}`; makes the next template too",
        SILO,
        SILO.settings,
        (PYTHON, "manage.py", "migrate_tenants", "--format", "json", "--workers", str(WORKERS)),
    ),
    Contestant(
        "floor",
        f"psycopg2 and nothing else, {WORKERS} threads: the same SQL and record in one transaction per tenant, or "
        "connect and read `django_migrations`",
        SILO,
        SILO.settings,
    ),
    Contestant(
        "loop",
        '`call_command("migrate", database=...)` for each database that the settings of a plain project with the same '
        "apps name, in one process; a router keeps main apps out of them",
        DATABASES,
        DATABASES.settings,
        (PYTHON, "-m", "benchmarks.by_hand.loop"),
        slow=True,
    ),
    Contestant(
        "django-tenants",
        "`migrate_schemas --tenant --executor=multiprocessing`, a schema per tenant in one database; 2 processes, its "
        "default",
        SCHEMAS,
        SCHEMAS.settings,
        MIGRATE_SCHEMAS,
        slow=True,
    ),
    Contestant(
        "django-tenants, tuned",
        f"the same with {WORKERS} processes and `TENANT_LIMIT_SET_CALLS`",
        SCHEMAS,
        "benchmarks.django_tenants.tuned",
        MIGRATE_SCHEMAS,
        slow=True,
    ),
)
