"""Real tenants for a test, on the tests' own PostgreSQL, and the processes that work on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.core.management import ManagementUtility
from django.db import connections
from django.db.models import QuerySet

from tenants.databases import clone
from tenants.databases.sessions import maintenance, owner_session, poll, take_server_lock
from tenants.lifecycle import create_tenant
from tenants.models import Installation, Rollout, Server, Template, Tenant
from tenants.rollout.templates import BUILD_LOCK
from tenants.routing.connections import address_of
from tenants.testing.standing import drop_database

PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Fleet:
    """The tenants of one test. What it made is gone at the end, and the fleet's head is where it was."""

    environment: dict[str, str] = field(default_factory=dict)

    def make(self, *slugs: str, server: Server | None = None) -> list[Tenant]:
        """Tenants on a server, the main database's own where none is named."""
        return [create_tenant(slug=slug, server=server or own_server()) for slug in slugs]

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a management command in a process of its own, to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self._environment(environment),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command as its command line does, but in this process: many times faster than ``manage``.

        For what does not depend on a process that is new, dies, or has settings of its own. It has a thread of its own,
        since a command line closes all connections of its thread.
        """
        code: Any = 0
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err, ThreadPoolExecutor(1) as thread:
            command = ManagementUtility().fetch_command(arguments[0])
            try:
                thread.submit(command.run_from_argv, ["manage.py", *arguments]).result()
            except SystemExit as ending:
                code = ending.code
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start ``python COMMAND``, in a session of its own, and go on; the caller waits for it, or kills it."""
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env=self._environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def migrate(self, *arguments: str) -> dict:
        """What ``migrate_tenants --format json`` prints, called in this process, with its exit code as ``exit``."""
        return told(self.call("migrate_tenants", "--format", "json", *arguments))

    def migrate_json(self, *arguments: str, **environment: str) -> dict:
        """The same from a process of its own."""
        return told(self.manage("migrate_tenants", "--format", "json", *arguments, **environment))

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "SILO_TEST_DATABASE": connections["default"].settings_dict["NAME"],
            **_compiled_code(),
            **self.environment,
            **more,
        }


def _compiled_code() -> dict[str, str]:
    """Keeps it with the run's data where Python may not keep it beside the source: to compile is a fifth of a start."""
    if not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(settings.SILO_DATA_DIR / "compiled")}


def told(done: subprocess.CompletedProcess[str]) -> dict:
    """What a command with ``--format json`` printed, with its exit code as ``exit``."""
    assert done.stdout, done.stderr
    return json.loads(done.stdout) | {"exit": done.returncode}


def in_other_processes(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the processes that Silo itself starts work on this test's main database, as ``manage`` has its own do."""
    for name, value in fleet._environment({}).items():
        monkeypatch.setenv(name, value)


def ended(rollout: Rollout) -> Rollout:
    """The rollout, once its process has ended it."""
    assert poll(lambda: not _running().filter(pk=rollout.pk).exists(), timedelta(seconds=60)), "it never ended"
    rollout.refresh_from_db()
    return rollout


def _running() -> QuerySet[Rollout]:
    return Rollout.objects.filter(state=Rollout.State.RUNNING)


def own_server() -> Server:
    """The main database's own server."""
    return Server.objects.get(host="", port=None)


def as_owner(tenant: Tenant, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run a statement in a tenant's database as its owner."""
    with owner_session(tenant) as connection, connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def on_server(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run a statement on the server, outside any tenant."""
    with maintenance(own_server()) as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def as_superuser(database: str, statements: str, *, server: Server | None = None) -> None:
    """Run statements as ``postgres``, the tests' servers' superuser, on the main database's own where none is named."""
    host, port = address_of(server or own_server())
    session = psycopg2.connect(host=host, port=port, user="postgres", dbname=database)
    try:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(statements)
    finally:
        session.close()


def drop_tenant(tenant: Tenant) -> None:
    drop_database(tenant)
    tenant.delete()


def clean_up(kept: set[Tenant], templates: set[Template], head_key: str) -> None:
    """Bring main and the server back to the base: what a test made goes."""
    Rollout.objects.all().delete()
    with maintenance(own_server()) as cursor:
        # The server goes on for a killed builder until its CREATE DATABASE is done, and would leave one without a row.
        assert take_server_lock(cursor, BUILD_LOCK, Installation.current().id, wait=timedelta(seconds=60))
    for tenant in Tenant.objects.exclude(pk__in=[tenant.pk for tenant in kept]):
        drop_tenant(tenant)
    for template in Template.objects.exclude(pk__in=[template.pk for template in templates]):
        with maintenance(template.server) as cursor:
            clone.drop(cursor, template.name)
        template.delete()
    Server.objects.exclude(pk=own_server().pk).delete()
    Installation.move_head(head_key)
