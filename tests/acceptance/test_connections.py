"""Connections to a fleet of real tenants: a storm of them, and tenants that change while they are served."""

from __future__ import annotations

from tenants.context import use_tenant
from tenants.databases.sessions import maintenance
from tenants.lifecycle import resume, suspend
from tenants.models import Server
from tenants.routing.pool import process_pool
from tests.apps.notes.models import Note
from tests.support.fleet import Fleet
from tests.support.pools import sessions_of

STORM = """
import sys, threading
import django; django.setup()
from tenants.context import use_tenant
from tenants.models import Tenant
from tests.apps.notes.models import Note

tenants = list(Tenant.objects.filter(state="active").select_related("server"))
failures, together = [], threading.Barrier(24)

def work(number):
    together.wait()
    try:
        for turn in range(20):
            tenant = tenants[(number * 7 + turn) % len(tenants)]
            with use_tenant(tenant):
                Note.objects.create(text=tenant.slug)
                assert set(Note.objects.values_list("text", flat=True)) == {tenant.slug}
    except Exception as error:
        failures.append(repr(error))

threads = [threading.Thread(target=work, args=[number]) for number in range(24)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(tenants), failures)
"""


class AConnectionStorm:
    def test_is_served_within_the_limit(self, fleet: Fleet) -> None:
        tenants = fleet.make(*(f"storm-{number}" for number in range(12)))
        storm = fleet.start("-c", STORM, TENANT_POOL_SIZE="5", TENANT_POOL_PER_TENANT="2", TENANT_POOL_WAIT="60")
        seen = []
        # As fast as the server answers: a session too many would be there for a millisecond only.
        with maintenance(Server.objects.get()) as cursor:
            while storm.poll() is None:
                seen.append(sessions_of(*tenants, cursor=cursor))
        output, errors = storm.communicate()
        assert output == "12 []\n", errors
        assert max(seen) <= 5
        assert max(seen) >= 3, "the server was not watched while it blew"


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
