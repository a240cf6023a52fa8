"""Real tenants for a test, on the tests' own PostgreSQL, and the processes that work on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
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

    def migrate_json(self, *arguments: str, **environment: str) -> dict:
        """What ``migrate_tenants --format json`` prints, with its exit code as ``exit``."""
        done = self.manage("migrate_tenants", "--format", "json", *arguments, **environment)
        assert done.stdout, done.stderr
        return json.loads(done.stdout) | {"exit": done.returncode}

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "SILO_TEST_DATABASE": connections["default"].settings_dict["NAME"],
            **self.environment,
            **more,
        }


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
    return Server.objects.get(host="")


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
    Server.objects.exclude(host="").delete()
    Installation.move_head(head_key)
