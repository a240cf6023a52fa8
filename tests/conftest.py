"""Fixtures for all tests. The cast: Alice owns acme, Bob is its member, Carol owns globex, Dave is a stranger, Erin is
staff. acme and globex are the two tenants of Silo's own test kit: real databases, which each test finds as new.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from accounts.models import User
from platform_site import embedded
from tenants.models import Installation, Role, Template, Tenant, UserTenantAssociation
from tests.support import fleet as fleets
from tests.support.fleet import Fleet
from tests.support.migrations import NotesMigrations, notes_migrations_in

pytest_plugins = ["tenants.testing"]

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


@pytest.fixture
def acme(tenant: Tenant) -> Tenant:
    return tenant


@pytest.fixture
def globex(other_tenant: Tenant) -> Tenant:
    return other_tenant


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
