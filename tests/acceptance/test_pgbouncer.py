"""Requests through a real PgBouncer in transaction mode, with one session a tenant: nothing may need a session of its
own. Left out where the program is not installed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from rest_framework.test import APIClient

from accounts.models import User
from tenants.context import tenant_atomic, use_tenant
from tenants.databases import pgbouncer as files_for
from tenants.databases.rotation import rotate
from tenants.databases.sessions import maintenance
from tenants.lifecycle import resume, suspend
from tenants.models import Role, Server, Tenant, UserTenantAssociation
from tenants.rollout.worker import look
from tenants.routing.connections import databases
from tenants.routing.pool import process_pool
from tests.apps.notes.models import Note
from tests.support import poolers
from tests.support.fleet import Fleet
from tests.support.servers import HOST, PG_HBA, ExtraServer, extra_server, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(poolers.PROGRAM is None, reason="no pgbouncer is installed; see `make pgbouncer`")

ASKS = f"host postgres all {HOST}/32 scram-sha-256\n"


@pytest.fixture(scope="module")
def other() -> Iterator[ExtraServer]:
    with extra_server("pooled") as server, server.with_access(PG_HBA + ASKS):
        yield server


@pytest.fixture(params=["query", "file"])
def auth(request: pytest.FixtureRequest) -> str:
    if request.param == "query" and poolers.version() < (1, 19):
        pytest.skip("PgBouncer asks in another database, by auth_dbname, from 1.19 on")
    return str(request.param)


@pytest.fixture
def pooled(other: ExtraServer, fleet: Fleet, auth: str) -> Iterator[list[Tenant]]:
    """Two tenants, to which requests go through PgBouncer."""
    with other.registered("pooled") as server:
        tenants = fleet.make("first", "second", server=server)
        server.pooler_host, server.pooler_port = HOST, free_port()
        server.save()
        if auth == "query":
            other.run(files_for.sql(server))
        files = {
            "pgbouncer.ini": one_session_a_tenant(files_for.ini(server, auth=auth)),
            "userlist.txt": files_for.users(server, auth=auth),
        }
        with poolers.pgbouncer(other, files, server.pooler_port):
            yield list(Tenant.objects.filter(pk__in=[tenant.pk for tenant in tenants]).select_related("server"))
        for tenant in tenants:
            process_pool().empty(tenant.alias)


def one_session_a_tenant(ini: str) -> str:
    assert "default_pool_size = 5" in ini
    return ini.replace("default_pool_size = 5", "default_pool_size = 1\nunix_socket_dir =")


def in_threads(number: int, work: Callable[[int], object]) -> None:
    """All at once; raises what one of them raised."""

    def run(which: int) -> None:
        try:
            work(which)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=number) as threads:
        list(threads.map(run, range(number)))


class RequestsBehindPgBouncer:
    def test_reach_each_their_own_tenant(self, pooled: list[Tenant]) -> None:
        alice = User.objects.create_user(email="alice@example.com", password="x")
        for tenant in pooled:
            UserTenantAssociation.objects.create(user=alice, tenant=tenant, role=Role.OWNER)

        def write_and_read(which: int) -> None:
            client = APIClient()
            client.force_authenticate(alice)
            for turn in range(6):
                slug = pooled[(which + turn) % 2].slug
                url = f"/api/v1/tenants/{slug}/documents/"
                assert client.post(url, {"title": slug, "body": str(which)}).status_code == 201
                titles = {document["title"] for document in client.get(url).json()["results"]}
                assert titles == {slug}

        in_threads(4, write_and_read)
        for tenant in pooled:
            assert sessions_of(tenant) == 1

    def test_need_no_session_of_their_own(self, pooled: list[Tenant]) -> None:
        tenant = pooled[0]
        with use_tenant(tenant):
            with tenant_atomic():
                Note.objects.bulk_create(Note(text=str(number)) for number in range(3000))
            # Fetched in chunks, while another request has the tenant's only session in between.
            rows = Note.objects.order_by("pk").iterator(chunk_size=1000)
            next(rows)
            in_threads(1, lambda _: count_notes(tenant))
            assert len(list(rows)) == 2999

    def test_are_in_utc_whatever_the_server_is_in(self, pooled: list[Tenant], other: ExtraServer) -> None:
        tenant = pooled[0]
        other.run(f"ALTER DATABASE {tenant.alias} SET TimeZone = 'Asia/Tokyo'")
        for _ in range(2):  # the second time with the session that was reset
            with use_tenant(tenant), connections[tenant.alias].cursor() as cursor:
                cursor.execute("SHOW TimeZone")
                assert cursor.fetchone() == ("UTC",)

    def test_alone_go_through_it(self, pooled: list[Tenant]) -> None:
        tenant = pooled[0]
        assert databases()[tenant.alias]["PORT"] == str(tenant.server.pooler_port)
        Server.objects.filter(pk=tenant.server_id).update(pooler_port=1)
        assert look(Tenant.objects.get(pk=tenant.pk)).tenant_id == str(tenant.id)

    def test_are_served_again_when_the_tenant_is(self, pooled: list[Tenant]) -> None:
        tenant = pooled[0]
        count_notes(tenant)
        suspend(tenant)
        resume(tenant)
        assert count_notes(tenant) == 0


class ARotationBehindPgBouncer:
    def test_fails_no_request_while_pgbouncer_keeps_its_session(self, pooled: list[Tenant], auth: str) -> None:
        if auth == "file":
            pytest.skip("the file has to be written anew")
        tenant, over, turns = pooled[0], threading.Event(), [0] * 3

        def serve(which: int) -> None:
            if which == len(turns):
                for _ in range(5):
                    so_far = sum(turns)
                    rotate(Tenant.objects.get(pk=tenant.pk))
                    wait_until(lambda: sum(turns) > so_far + 10 or over.is_set())  # noqa: B023
                over.set()
            while not over.is_set():
                try:
                    with use_tenant(tenant.slug):
                        Note.objects.create(text=str(which))
                    process_pool().empty(tenant.alias)
                    turns[which] += 1
                except BaseException:
                    over.set()
                    raise

        in_threads(len(turns) + 1, serve)
        assert Tenant.objects.get(pk=tenant.pk).credentials_generation == 6


def count_notes(tenant: Tenant) -> int:
    with use_tenant(tenant):
        return Note.objects.count()


def sessions_of(tenant: Tenant) -> int:
    with maintenance(tenant.server) as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [tenant.alias])
        return int(cursor.fetchone()[0])
