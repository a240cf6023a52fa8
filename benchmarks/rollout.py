"""A rollout of one migration of five operations, and one with nothing to do, beside the floor and beside a loop.

`python -m benchmarks.rollout --tenants 50,200 --repetitions 5`. Each contestant is a whole process, from its start to
its end; they take turns, and the medians are given. Silo's figure includes making the next template.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import django

PROJECT = Path(__file__).resolve().parents[1]
RESULT = PROJECT / "docs" / "benchmarks" / "rollout.md"
WORKERS = 4
SLOW = ("loop",)
FIVE_OPERATIONS = (
    'migrations.AddField("note", "colour", models.CharField(default="red", max_length=20))',
    'migrations.AddField("note", "rank", models.IntegerField(default=0, db_index=True))',
    """migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True)),
       ("note", models.ForeignKey("notes.note", models.CASCADE))])""",
    'migrations.AddConstraint("note", models.UniqueConstraint(fields=["rank", "text", "id"], name="once"))',
    'migrations.AlterField("note", "text", models.CharField(max_length=200))',
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", default="50,200", help="fleet sizes, with commas (default 50,200)")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    from django.conf import settings

    from platform_site import embedded

    folder = Path(tempfile.mkdtemp())
    try:
        sections = [measure(int(size), options.repetitions, folder) for size in options.tenants.split(",")]
    finally:
        embedded.remove(settings.SILO_DATA_DIR)
        shutil.rmtree(settings.SILO_DATA_DIR, ignore_errors=True)
        shutil.rmtree(folder)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text("\n\n".join([heading(options.repetitions), *sections]) + "\n")
    print(RESULT.read_text())


def measure(size: int, repetitions: int, folder: Path) -> str:
    """One fleet: a table of medians, in ms a tenant and beside the floor."""
    from django.core.management import call_command

    from tests.support.migrations import notes_migrations_in

    call_command("migrate", verbosity=0)
    make_tenants(size)
    with notes_migrations_in(folder) as migrations:
        migrations.add("0002_five", *FIVE_OPERATIONS)
        environment = os.environ | {
            "SILO_BENCH_MIGRATIONS": migrations.package,
            "PYTHONPATH": f"{PROJECT}:{folder}",
        }
        work = folder / "work.json"
        write_work(work)

        def run(*command: str) -> Callable[[], float]:
            return lambda: timed([sys.executable, *command], environment)

        silo = run("manage.py", "migrate_tenants", "--format", "json", "--workers", str(WORKERS))
        rollouts = {
            "silo": silo,
            "floor": run("-m", "benchmarks.floor", str(work), "replay"),
            "loop": run("-m", "benchmarks.loop"),
        }
        nothing = {"silo": silo, "floor": run("-m", "benchmarks.floor", str(work), "look")}
        done: dict[str, list[float]] = {name: [] for name in rollouts}
        idle: dict[str, list[float]] = {name: [] for name in nothing}
        for repetition in range(repetitions):
            for name, contestant in rollouts.items():
                if name in SLOW and repetition:
                    continue
                take_back()
                done[name].append(contestant())
            nothing["floor"]()  # Not counted: after DDL a database's first session is slower, whoever's it is.
            for name, contestant in nothing.items():
                idle[name].append(contestant())
        take_back()
    return table(size, "A migration of five operations", done) + "\n\n" + table(size, "Nothing to do", idle)


def make_tenants(size: int) -> None:
    from tenants.lifecycle import create_tenant
    from tenants.models import Tenant

    for number in range(Tenant.objects.count(), size):
        create_tenant(slug=f"tenant-{number}")


def take_back() -> None:
    """Every tenant back to 0001; the templates of what comes next are dropped, so that they are made again."""
    from tenants.databases.clone import drop
    from tenants.databases.sessions import maintenance
    from tenants.models import Installation, Template
    from tenants.rollout.request import Request
    from tenants.rollout.runner import run_rollout
    from tenants.rollout.target import resolve

    assert not run_rollout(Request(resolve("notes", "0001"))).failures
    head_key = Installation.current().head_key
    for template in Template.objects.exclude(head_key=head_key):
        with maintenance(template.server) as cursor:
            drop(cursor, template.name)
        template.delete()


def write_work(path: Path) -> None:
    """What the floor needs: the SQL of the migration, as Silo itself would run it."""
    from django.db import connections

    from tenants.models import Tenant
    from tenants.rollout.survey import sql_of, survey
    from tenants.rollout.target import latest

    tenants = list(Tenant.objects.select_related("server"))
    (plan,) = survey(tenants[:1], latest(), workers=1).plans
    settings = connections["default"].settings_dict
    address = {key: settings[name] for key, name in (("host", "HOST"), ("port", "PORT"), ("user", "USER"))}
    statements = [line for line in sql_of(plan) if line and not line.startswith(("--", "BEGIN", "COMMIT"))]
    names = [tenant.alias for tenant in tenants]
    path.write_text(json.dumps({"address": address, "databases": names, "sql": statements, "workers": WORKERS}))


def timed(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def table(size: int, title: str, seconds: dict[str, list[float]]) -> str:
    floor = statistics.median(seconds["floor"])
    rows = [f"## {title}, {size} tenants", "", "| | s | ms a tenant | of the floor |", "|---|---|---|---|"]
    for name, taken in seconds.items():
        median = statistics.median(taken)
        rows.append(f"| {name} | {median:.2f} | {median * 1000 / size:.1f} | {median / floor:.2f} |")
    return "\n".join(rows)


def heading(repetitions: int) -> str:
    return (
        "# Rollouts\n\n"
        f"Medians of {repetitions} whole processes that took turns (the loop: once); {WORKERS} threads; durable\n"
        f"PostgreSQL 18 on a Unix socket; {os.cpu_count()} cores, Python {platform.python_version()}, Django "
        f"{django.get_version()}.\n\n"
        "Silo's figure includes the start of Python and Django and making the next template. The floor is psycopg2\n"
        "threads that replay the same SQL and record in one transaction, or connect and read.\n\n"
        "Repeat with `make bench`."
    )


if __name__ == "__main__":
    main()
