"""Tenants' passwords, rotated while tenants are served, and cut off between the two places that know of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest
from django.db import connections

from tenants.context import use_tenant
from tenants.databases import roles, rotation
from tenants.databases.rotation import rotate
from tenants.errors import CredentialsKeyError
from tenants.keys import present_key_id
from tenants.models import Tenant
from tenants.routing.connections import address_of
from tenants.routing.credentials import runtime_password
from tenants.routing.pool import process_pool
from tests.apps.notes.models import Note
from tests.support.fleet import Fleet
from tests.support.waiting import wait_until

NEW_KEY = "the key of this test, which takes the place of the present one"


@pytest.fixture
def tenant(fleet: Fleet) -> Tenant:
    return fleet.make("first")[0]


def now(tenant: Tenant) -> Tenant:
    """As main has it."""
    return Tenant.objects.select_related("server").get(pk=tenant.pk)


def lets_in(tenant: Tenant, password: str) -> bool:
    host, port = address_of(tenant.server)
    try:
        with closing(psycopg2.connect(host=host, port=port, dbname=tenant.alias, user=tenant.alias, password=password)):
            return True
    except psycopg2.OperationalError:
        return False


def read(tenant: Tenant) -> int:
    """Through a new session: what is pooled would be let go on."""
    process_pool().empty(tenant.alias)
    with use_tenant(tenant):
        return Note.objects.count()


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@contextmanager
def served_all_the_time(tenant: Tenant, errors: list[str]) -> Iterator[Callable[[], int]]:
    """Threads that read and write, half of them with a new session each time; gives what counts their turns."""
    over, turns = threading.Event(), [0] * 4

    def serve(number: int) -> None:
        try:
            while not over.is_set():
                with use_tenant(tenant.slug):
                    Note.objects.create(text=str(number))
                    assert Note.objects.filter(text=str(number)).exists()
                if number % 2:
                    process_pool().empty(tenant.alias)
                turns[number] += 1
        except Exception as error:
            errors.append(repr(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=serve, args=[number]) for number in range(len(turns))]
    for thread in threads:
        thread.start()
    try:
        yield lambda: min(turns)
    finally:
        over.set()
        for thread in threads:
            thread.join()


class ARotation:
    def test_makes_a_new_password_and_ends_the_old_one(self, tenant: Tenant) -> None:
        before = runtime_password(tenant)
        rotate(tenant)
        after = runtime_password(now(tenant))
        assert (lets_in(tenant, before), lets_in(tenant, after)) == (False, True)

    def test_fails_no_request(self, tenant: Tenant) -> None:
        errors: list[str] = []
        with served_all_the_time(tenant, errors) as turns:
            for _ in range(5):
                turns_then = turns()
                rotate(now(tenant))
                wait_until(lambda: errors or turns() > turns_then)  # noqa: B023
        assert errors == []
        assert now(tenant).credentials_generation == 6

    def test_is_found_out_by_a_process_that_was_not_told(self, tenant: Tenant) -> None:
        rotate(now(tenant))
        assert tenant.credentials_generation == 1
        assert read(tenant) == 0

    def test_lets_a_suspended_tenant_have_a_new_one_too(self, tenant: Tenant, fleet: Fleet) -> None:
        from tenants.lifecycle import resume, suspend

        suspend(tenant)
        rotate(tenant)
        resume(tenant)
        assert read(tenant) == 0


class ARotationThatWasCutOff:
    @pytest.fixture(params=["before the server", "after the server"])
    def tenant(self, request: pytest.FixtureRequest, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Tenant:
        (tenant,) = fleet.make("first")
        ensure = roles.ensure_runtime_role

        def ensure_and_be_killed(*arguments: Any, **named: Any) -> None:
            ensure(*arguments, **named)
            raise KeyboardInterrupt

        with monkeypatch.context() as cut_off:
            strike = killed if request.param == "before the server" else ensure_and_be_killed
            cut_off.setattr(rotation.roles, "ensure_runtime_role", strike)
            with pytest.raises(KeyboardInterrupt):
                rotate(tenant)
        return tenant

    def test_fails_no_request(self, tenant: Tenant) -> None:
        assert read(now(tenant)) == 0

    def test_is_ended_by_the_next(self, tenant: Tenant) -> None:
        rotate(tenant)
        found = now(tenant)
        assert (found.credentials_generation, found.credentials_pending_key) == (3, "")
        assert lets_in(tenant, runtime_password(found))


class AKeyThatIsReplaced:
    @pytest.fixture(autouse=True)
    def _replaced(self, tenant: Tenant, settings: Any) -> None:
        settings.TENANT_CREDENTIALS_KEY_FALLBACKS = [settings.TENANT_CREDENTIALS_KEY]
        settings.TENANT_CREDENTIALS_KEY = NEW_KEY

    def test_still_opens_what_was_made_under_it(self, tenant: Tenant) -> None:
        assert read(now(tenant)) == 0

    def test_is_needed_no_more_after_a_rotation(self, tenant: Tenant, settings: Any) -> None:
        rotate(tenant)
        settings.TENANT_CREDENTIALS_KEY_FALLBACKS = []
        assert now(tenant).credentials_key == present_key_id()
        assert read(now(tenant)) == 0

    def test_and_lost_is_named_until_a_rotation(self, tenant: Tenant, settings: Any) -> None:
        settings.TENANT_CREDENTIALS_KEY_FALLBACKS = []
        with pytest.raises(CredentialsKeyError, match="TENANT_CREDENTIALS_KEY"):
            read(now(tenant))
        rotate(tenant)
        assert read(now(tenant)) == 0


class TheCommand:
    def test_rotates_all(self, fleet: Fleet) -> None:
        fleet.make("first", "second")
        done = fleet.manage("tenants", "rotate", "--all")
        assert (done.returncode, done.stdout) == (0, "2 passwords rotated, 0 failed\n"), done.stderr
        assert [tenant.credentials_generation for tenant in Tenant.objects.filter(state="active")] == [2, 2]
