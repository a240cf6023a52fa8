"""Look-ups that are remembered, and changes that main tells of, made in other sessions and other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from django.db import connections, transaction

from tenants.context import use_tenant
from tenants.errors import UnknownTenantError
from tenants.lifecycle import edit
from tenants.models import Server, Tenant
from tenants.routing import registry
from tenants.routing.connections import databases
from tenants.routing.pool import process_pool
from tenants.routing.registry import TenantDirectory
from tests.apps.notes.models import Note
from tests.support.fleet import Fleet, on_server
from tests.support.waiting import wait_until

Queries = Callable[[int], AbstractContextManager[object]]


@pytest.fixture
def tenant(fleet: Fleet) -> Tenant:
    return fleet.make("first")[0]


@pytest.fixture
def remembering(fleet: Fleet, tenant: Tenant) -> Iterator[TenantDirectory]:
    """What a process that answers requests has, and which has found the tenant."""
    directory = TenantDirectory()
    directory.remember_lookups()
    wait_until(lambda: is_remembered(directory, tenant.slug))
    yield directory
    directory.news.stop()


def is_remembered(directory: TenantDirectory, slug: str) -> bool:
    main = connections["default"]
    main.force_debug_cursor = True
    try:
        directory.find(slug)
        before = len(main.queries_log)
        directory.find(slug)
        return len(main.queries_log) == before
    finally:
        main.force_debug_cursor = False


def finds(directory: TenantDirectory, slug: str) -> bool:
    try:
        directory.find(slug)
    except UnknownTenantError:
        return False
    return True


class ALookUp:
    def test_asks_main_once(self, remembering: TenantDirectory, django_assert_num_queries: Queries) -> None:
        with django_assert_num_queries(0):
            assert remembering.find("first").slug == "first"

    def test_of_nobody_asks_main_once(self, remembering: TenantDirectory, django_assert_num_queries: Queries) -> None:
        with django_assert_num_queries(1):
            assert not finds(remembering, "nobody")
            assert not finds(remembering, "nobody")

    def test_asks_main_inside_a_transaction(self, remembering: TenantDirectory, tenant: Tenant) -> None:
        with transaction.atomic(using="default"):
            Tenant.objects.filter(pk=tenant.pk).update(name="not yet told")
            assert remembering.find("first").name == "not yet told"
            transaction.set_rollback(True, using="default")
        assert remembering.find("first").name == "first"

    def test_asks_main_in_a_process_that_answers_no_requests(
        self, tenant: Tenant, django_assert_num_queries: Queries
    ) -> None:
        directory = TenantDirectory()
        with django_assert_num_queries(2):
            directory.find("first")
            directory.find("first")


class AChange:
    def test_is_known_when_another_process_has_made_it(self, remembering: TenantDirectory, fleet: Fleet) -> None:
        done = fleet.manage("tenants", "suspend", "first")
        assert done.returncode == 0, done.stderr
        wait_until(lambda: remembering.find("first").state == Tenant.State.SUSPENDED)

    def test_ends_what_other_processes_keep_open(
        self, remembering: TenantDirectory, fleet: Fleet, tenant: Tenant
    ) -> None:
        with use_tenant(tenant):
            Note.objects.exists()
        idle = process_pool().numbers()["idle"]
        fleet.manage("tenants", "suspend", "first")
        wait_until(lambda: process_pool().numbers()["idle"] == idle - 1)

    def test_of_a_slug_is_known_here_before_main_tells(self, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
        here = registry.directory
        here.remember_lookups()
        wait_until(lambda: is_remembered(here, "first"))
        monkeypatch.setattr(here.news, "_heard", lambda change: None)
        edit(tenant, slug="renamed")
        assert not finds(here, "first")
        assert finds(here, "renamed")

    def test_of_a_slug_is_known_under_both(self, remembering: TenantDirectory, tenant: Tenant) -> None:
        assert not finds(remembering, "renamed")
        Tenant.objects.filter(pk=tenant.pk).update(slug="renamed")
        wait_until(lambda: finds(remembering, "renamed") and not finds(remembering, "first"))

    def test_from_nobody_to_somebody_is_known(self, remembering: TenantDirectory, fleet: Fleet) -> None:
        assert not finds(remembering, "second")
        fleet.make("second")
        wait_until(lambda: finds(remembering, "second"))

    def test_of_a_server_or_a_password_is_known_to_connections(
        self, remembering: TenantDirectory, tenant: Tenant
    ) -> None:
        before = dict(databases()[tenant.alias])
        Tenant.objects.filter(pk=tenant.pk).update(credentials_generation=2)
        wait_until(lambda: databases()[tenant.alias]["PASSWORD"] != before["PASSWORD"])
        Server.objects.update(port=1)
        try:
            wait_until(lambda: databases()[tenant.alias]["PORT"] == "1")
        finally:
            Server.objects.update(port=None)
            wait_until(lambda: databases()[tenant.alias]["PORT"] == before["PORT"])

    def test_of_a_pooler_is_known_to_connections(self, remembering: TenantDirectory, tenant: Tenant) -> None:
        before = dict(databases()[tenant.alias])
        Server.objects.update(pooler_host="pooler.example")
        try:
            wait_until(lambda: databases()[tenant.alias]["HOST"] == "pooler.example")
            assert databases()[tenant.alias]["DISABLE_SERVER_SIDE_CURSORS"]
        finally:
            Server.objects.update(pooler_host="")
            wait_until(lambda: databases()[tenant.alias]["HOST"] == before["HOST"])

    def test_is_not_missed_while_main_cannot_tell(self, remembering: TenantDirectory, tenant: Tenant) -> None:
        on_server("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'silo news'")
        wait_until(lambda: not is_remembered(remembering, "first"))
        Tenant.objects.filter(pk=tenant.pk).update(name="changed meanwhile")
        assert remembering.find("first").name == "changed meanwhile"
        wait_until(lambda: is_remembered(remembering, "first"))
