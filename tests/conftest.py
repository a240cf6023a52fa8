"""Fixtures for all tests. The cast: Alice owns acme, Bob is its member, Carol owns globex, Dave is a stranger, Erin is
staff. acme and globex are real databases, made once a worker; each test finds them empty.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from accounts.models import User
from platform_site import embedded
from tenants.databases.sessions import maintenance, owner_session
from tenants.lifecycle import create_tenant
from tenants.models import Installation, Role, Template, Tenant, UserTenantAssociation
from tenants.routing.backend.base import DatabaseWrapper
from tenants.routing.connections import databases
from tenants.routing.registry import directory
from tests.support import fleet as fleets
from tests.support.fleet import Fleet
from tests.support.migrations import NotesMigrations, notes_migrations_in

PASSWORD = "correct horse battery staple"


def pytest_configure(config: pytest.Config) -> None:
    """End what a killed run left. The name of a folder begins with the number of its process."""
    if not hasattr(config, "workerinput"):
        for left in embedded.data_dirs_of_tests():
            process = left.name.partition("-")[0]
            if process.isdecimal() and not Path(f"/proc/{process}").exists():
                remove_cluster(left)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing running. The workers of a parallel run share one server, which the run as a whole ends."""
    if not hasattr(config, "workerinput"):
        remove_cluster(settings.SILO_DATA_DIR)


def remove_cluster(data_dir: Path) -> None:
    embedded.remove(data_dir)
    shutil.rmtree(data_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The main database of this worker, with a template, acme and globex in it, committed.

    In place of pytest-django's, which makes it only where a test asks for the fixture ``db``; ``fleet`` does not.
    """
    with django_db_blocker.unblock():
        created = setup_databases(verbosity=0, interactive=False, aliases={"default": None})
        base = [create_tenant(slug=slug) for slug in ("acme", "globex")]
    yield
    with django_db_blocker.unblock():
        directory.news.stop()  # its session would keep the database from being dropped
        server = base[0].server
        for tenant in Tenant.objects.all():
            fleets.drop_tenant(tenant)
        with maintenance(server) as cursor:
            for template in Template.objects.all():
                fleets.clone.drop(cursor, template.name)
        teardown_databases(created, verbosity=0)


@pytest.fixture(scope="session")
def ensure_connection(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Callable[[BaseDatabaseWrapper], None]:
    """Django's own, which its test cases replace while a test runs."""
    with django_db_blocker.unblock():
        return BaseDatabaseWrapper.ensure_connection


@pytest.fixture
def tenant_connections(db: None, ensure_connection: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow connections to tenants: Django's test cases refuse an alias that was unknown when the test began."""
    monkeypatch.setattr(DatabaseWrapper, "ensure_connection", ensure_connection)


@pytest.fixture
def acme(tenant_connections: None) -> Iterator[Tenant]:
    yield from _empty_tenant("acme")


@pytest.fixture
def globex(tenant_connections: None) -> Iterator[Tenant]:
    yield from _empty_tenant("globex")


@pytest.fixture
def fleet(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Fleet]:
    """Tenants of this test's own. Main is written for good here, since other processes must see it; then cleaned."""
    with django_db_blocker.unblock():
        kept, templates = set(Tenant.objects.all()), set(Template.objects.all())
        head_key = Installation.current().head_key
        Tenant.objects.update(state=Tenant.State.DELETING)  # acme and globex are not of this test's fleet
        try:
            yield Fleet()
        finally:
            Tenant.objects.filter(pk__in=[tenant.pk for tenant in kept]).update(state=Tenant.State.ACTIVE)
            fleets.clean_up(kept, templates, head_key)
            User.objects.all().delete()
            connections.close_all()


@pytest.fixture
def notes(fleet: Fleet, tmp_path: Path) -> Iterator[NotesMigrations]:
    """The migrations of the app ``notes``, for this test to add to; the fleet's processes see them too."""
    with notes_migrations_in(tmp_path) as written:
        fleet.environment |= written.environment
        yield written


@pytest.fixture
def alice(acme: Tenant) -> User:
    return _user("alice", acme, Role.OWNER)


@pytest.fixture
def bob(acme: Tenant) -> User:
    return _user("bob", acme, Role.MEMBER)


@pytest.fixture
def carol(globex: Tenant) -> User:
    return _user("carol", globex, Role.OWNER)


@pytest.fixture
def dave(db: None) -> User:
    return _user("dave")


@pytest.fixture
def erin(db: None) -> User:
    user = _user("erin")
    user.is_staff = user.is_superuser = True
    user.save()
    return user


@pytest.fixture
def api() -> APIClient:
    return APIClient()


@pytest.fixture
def as_user(db: None) -> Callable[[User], APIClient]:
    """A client that is logged in as a user, with a token of its own."""

    def log_in(user: User) -> APIClient:
        from knox.models import get_token_model

        client = APIClient()
        _, token = get_token_model().objects.create(user=user)
        client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
        return client

    return log_in


@pytest.fixture(autouse=True)
def _files_of_this_test(tmp_path: Path, settings: Any) -> None:
    settings.TENANT_FILES_ROOT = tmp_path / "files"


def _user(name: str, tenant: Tenant | None = None, role: Role = Role.VIEWER) -> User:
    user = User.objects.create_user(email=f"{name}@example.com", password=PASSWORD, name=name.capitalize())
    if tenant is not None:
        UserTenantAssociation.objects.create(user=user, tenant=tenant, role=role)
    return user


def _empty_tenant(slug: str) -> Iterator[Tenant]:
    tenant = Tenant.objects.select_related("server").get(slug=slug)
    databases().pin(tenant.alias)
    yield tenant
    databases().unpin(tenant.alias)
    with owner_session(tenant) as connection, connection.cursor() as cursor:
        tables = [name for name in connection.introspection.table_names() if name != "django_migrations"]
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
