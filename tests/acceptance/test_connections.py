"""Connections to a fleet of real tenants: a storm of them, and tenants that change while they are served.

``make storm`` raises the storm over 200 tenants, with 64 threads and 20 connections.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from knox.models import get_token_model

from accounts.models import User
from tenants.context import use_tenant
from tenants.databases.sessions import maintenance
from tenants.lifecycle import resume, suspend
from tenants.models import Role, Server, Tenant, UserTenantAssociation
from tenants.routing.pool import process_pool
from tests.apps.notes.models import Note
from tests.support.fleet import Fleet
from tests.support.pools import sessions_of

TENANTS, THREADS, CAP = (200, 64, 20) if os.environ.get("SILO_STORM") else (12, 24, 5)
TURNS = 20
"""Of each thread: as many requests."""

STORM = """
import json, sys, threading, time
import django; django.setup()
from tenants.context import use_tenant
from tenants.models import Tenant
from tenants.routing.pool import process_pool
from tests.apps.notes.models import Note

threads, turns = map(int, sys.argv[1:])
tenants = list(Tenant.objects.filter(state="active").select_related("server"))
failures, slowest_s, together = [], [], threading.Barrier(threads)

def request(tenant):
    began = time.monotonic()
    with use_tenant(tenant):
        Note.objects.create(text=tenant.slug)
        assert set(Note.objects.values_list("text", flat=True)) == {tenant.slug}
    return time.monotonic() - began

def work(number):
    together.wait()
    try:
        slowest_s.append(max(request(tenants[(number * 7 + turn) % len(tenants)]) for turn in range(turns)))
    except Exception as error:
        failures.append(repr(error))

working = [threading.Thread(target=work, args=[number]) for number in range(threads)]
began = time.monotonic()
for thread in working: thread.start()
for thread in working: thread.join()
print(json.dumps({"tenants": len(tenants), "failures": failures, "slowest_s": max(slowest_s),
                  "seconds": time.monotonic() - began, **vars(process_pool().counts)}))
"""


class AConnectionStorm:
    def test_is_served_within_the_limit(self, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
        tenants = fleet.make(*(f"storm-{number}" for number in range(TENANTS)))
        limits = {"TENANT_POOL_SIZE": str(CAP), "TENANT_POOL_PER_TENANT": "2", "TENANT_POOL_WAIT": "60"}
        storm = fleet.start("-c", STORM, str(THREADS), str(TURNS), **limits)
        seen = []
        # As fast as the server answers: a session too many would be there for a millisecond only.
        with maintenance(Server.objects.get()) as cursor:
            while storm.poll() is None:
                seen.append(sessions_of(*tenants, cursor=cursor))
        output, errors = storm.communicate()
        assert storm.returncode == 0, errors
        told = json.loads(output)
        assert (told["tenants"], told["failures"], told["timed_out"]) == (TENANTS, [], 0)
        assert max(seen) <= CAP
        assert max(seen) >= CAP // 2, "the server was not watched while it blew"
        with capsys.disabled():
            os.write(1, said(told, seen).encode())


def said(told: dict[str, Any], seen: list[int]) -> str:
    requests = THREADS * TURNS
    return (
        f"\n{requests:,} requests over {TENANTS} tenants by {THREADS} threads in {told['seconds']:.1f} s, the slowest "
        f"{told['slowest_s']:.2f} s\n{told['opened'] / requests:.2f} connects a request; at most {max(seen)} "
        f"connections of {CAP}, looked at {len(seen):,} times\n"
    )


class AnAsgiServer:
    """Django gives each request of an ASGI server a thread of its own, in which all that is not async runs."""

    @pytest.fixture
    def slugs(self, fleet: Fleet, settings: Any) -> Iterator[list[str]]:
        process_pool.cache_clear()
        settings.TENANT_POOL_SIZE, settings.TENANT_POOL_WAIT = 2, 60
        made = fleet.make("first", "second", "third")
        yield [tenant.slug for tenant in made]
        for tenant in made:
            process_pool().empty(tenant.alias)
        process_pool.cache_clear()

    @pytest.fixture
    def token(self, slugs: list[str]) -> str:
        user = User.objects.create_user(email="alice@example.com")
        for tenant in Tenant.objects.filter(slug__in=slugs):
            UserTenantAssociation.objects.create(user=user, tenant=tenant, role=Role.OWNER)
        return get_token_model().objects.create(user=user)[1]

    def test_serves_requests_at_once_and_has_all_back(self, slugs: list[str], token: str) -> None:
        application = get_asgi_application()

        async def ask(slug: str) -> int:
            server = ApplicationCommunicator(application, scope_of(f"/api/v1/tenants/{slug}/documents/", token))
            await server.send_input({"type": "http.request"})
            status = (await server.receive_output(timeout=60))["status"]
            while (await server.receive_output(timeout=60)).get("more_body"):
                pass
            await server.wait(timeout=60)
            return status

        async def ask_at_once() -> list[int]:
            return await asyncio.gather(*(ask(slug) for slug in slugs * 4))

        assert asyncio.run(ask_at_once()) == [200] * 12
        numbers = process_pool().numbers()
        assert (numbers["in_use"], numbers["waiting"], process_pool().counts.timed_out) == (0, 0, 0)


def scope_of(path: str, token: str) -> dict[str, Any]:
    """A request as an ASGI server hands it over."""
    headers = [(b"host", b"localhost"), (b"authorization", f"Token {token}".encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": headers,
    }


class ASuspendedTenant:
    def test_keeps_no_session_in_this_process(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        with use_tenant(tenant):
            Note.objects.exists()
        idle = process_pool().numbers()["idle"]
        suspend(tenant)
        assert process_pool().numbers()["idle"] == idle - 1
        resume(tenant)
        with use_tenant(tenant):
            Note.objects.exists()
