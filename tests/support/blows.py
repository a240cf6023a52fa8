"""Blows that cut a rollout off at a moment drawn by chance: signals to its process, and the end of a session of its."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random

from django.db import connections

from tenants import naming
from tenants.databases.sessions import poll
from tenants.models import Installation, Template, Tenant
from tests.support.faults import gate_after_ddl
from tests.support.fleet import Fleet, on_server

PATIENCE = timedelta(seconds=60)
TEMPLATE_BUILD_S = 0.4
"""About what it takes to build a template here."""

_SESSIONS = """
    SELECT pid, datname FROM pg_stat_activity
    WHERE backend_start > %s AND (datname = ANY(%s) OR datname LIKE %s)
    ORDER BY backend_start
"""


@dataclass(frozen=True)
class Blow:
    """What was done to a rollout. ``struck`` is whether it was still running."""

    kind: str
    struck: bool
    detail: str
    returncode: int

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.returncode == -signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.kind} {self.detail}: {'struck' if self.struck else 'missed'}, exit {self.returncode}"


@dataclass
class Assailant:
    """Strikes rollouts of a fleet. ``run_s`` is how long an undisturbed one takes."""

    fleet: Fleet
    tenants: list[Tenant]
    chance: Random
    run_s: float

    def strike(self, *arguments: str, ddl: int) -> Blow:
        """Start a rollout and cut it off. ``ddl`` statements lie before each tenant; 0 where that is not known."""
        kinds: dict[Callable[..., Blow], int] = {
            self.kill_at_any_moment: 9,
            self.kill_in_the_templates_build: 3,
            partial(self.kill_between_ddl_and_record, ddl): 4 if ddl else 0,
            self.ask_to_stop: 3,
            self.end_a_session: 3,
        }
        (blow,) = self.chance.choices(list(kinds), list(kinds.values()))
        return blow(*arguments)

    def kill_at_any_moment(self, *arguments: str) -> Blow:
        process, moment_s = self._start(*arguments), self.chance.uniform(0, self.run_s)
        ended_by_itself(process, moment_s)
        return self._signal(process, signal.SIGKILL, "kill at any moment", f"after {moment_s:.3f} s")

    def kill_in_the_templates_build(self, *arguments: str) -> Blow:
        process, moment_s = self._start(*arguments), self.chance.uniform(0, TEMPLATE_BUILD_S)
        building = Template.objects.filter(state=Template.State.BUILDING)
        left = set(building.values_list("pk", flat=True))
        poll(lambda: process.poll() is not None or building.exclude(pk__in=left).exists(), PATIENCE)
        ended_by_itself(process, moment_s)
        return self._signal(process, signal.SIGKILL, "kill in the template's build", f"{moment_s:.3f} s into it")

    def kill_between_ddl_and_record(self, ddl: int, *arguments: str) -> Blow:
        tenant, at = self.chance.choice(self.tenants), self.chance.randint(1, ddl)
        with gate_after_ddl(tenant, at) as wait_until_reached:
            process = self._start(*arguments)
            wait_until_reached()
            return self._signal(
                process, signal.SIGKILL, "kill between DDL and record", f"after statement {at} in {tenant.slug}"
            )

    def ask_to_stop(self, *arguments: str) -> Blow:
        """It may end what is in hand, or be at its very beginning or end, where nothing is in hand."""
        process, moment_s = self._start(*arguments), self.chance.uniform(0, self.run_s)
        asked = self.chance.choice([signal.SIGTERM, signal.SIGINT])
        ended_by_itself(process, moment_s)
        blow = self._signal(process, asked, asked.name, f"after {moment_s:.3f} s")
        assert blow.returncode in {0, 128 + asked, -asked}, blow
        return blow

    def end_a_session(self, *arguments: str) -> Blow:
        """One of its sessions, on main, a template or a tenant; it ends by itself then, well or not."""
        ((began,),) = on_server("SELECT clock_timestamp()")
        ours = [connections["default"].settings_dict["NAME"], *(tenant.alias for tenant in self.tenants)]
        templates = naming.template_name(Installation.current().id, "%", "%")

        def sessions() -> list[tuple[int, str]]:
            return on_server(_SESSIONS, began, ours, templates)

        process, moment_s = self._start(*arguments), self.chance.uniform(0, self.run_s / 2)
        poll(lambda: process.poll() is not None or bool(sessions()), PATIENCE)
        ended_by_itself(process, moment_s)
        found = sessions()
        pid, database = self.chance.choice(found) if found else (0, "none")
        struck = bool(pid) and on_server("SELECT pg_terminate_backend(%s)", pid) == [(True,)]
        process.communicate(timeout=PATIENCE.total_seconds())
        return Blow(f"session of {kind_of(database)}", struck, f"{moment_s:.3f} s into its work", process.returncode)

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return self.fleet.start("manage.py", "migrate_tenants", *arguments, "--noinput")

    def _signal(self, process: subprocess.Popen[str], number: signal.Signals, kind: str, detail: str) -> Blow:
        struck = process.poll() is None
        if struck:
            os.killpg(process.pid, number)
        process.communicate(timeout=PATIENCE.total_seconds())
        return Blow(kind, struck and process.returncode != 0, detail, process.returncode)


def kind_of(database: str) -> str:
    """What a database is to Silo, in a word."""
    if naming.is_tenant_alias(database):
        return "a tenant"
    return "a template" if naming.is_template_alias(database) else "main"


def ended_by_itself(process: subprocess.Popen[str], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True
