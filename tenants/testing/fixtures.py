"""The fixtures. Each needs the database, so that a test need not ask for ``db`` as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import override_settings, setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker

from tenants import context
from tenants.lifecycle import create_tenant
from tenants.models import Tenant
from tenants.routing.backend.base import DatabaseWrapper
from tenants.routing.connections import databases
from tenants.routing.registry import directory
from tenants.testing.standing import OTHER_SLUG, SLUG, StandingTenants, drop_all, drop_database


@pytest.fixture(scope="session")
def standing_tenants(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_keepdb: bool,
    django_db_createdb: bool,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[StandingTenants]:
    """The main database of this session, or of this worker of pytest-xdist, and in it two tenants and a template."""
    with django_db_blocker.unblock():
        created = setup_databases(
            verbosity=0,
            interactive=False,
            keepdb=django_db_keepdb and not django_db_createdb,
            aliases={"default": None},
        )
        drop_all()  # where main is kept, a run that was killed may have left some
        standing = StandingTenants()
    yield standing
    with django_db_blocker.unblock():
        directory.news.stop()  # its session would keep main from being dropped
        standing.dismiss()
        drop_all()
        if not django_db_keepdb:
            teardown_databases(created, verbosity=0)


@pytest.fixture(scope="session")
def django_db_setup(standing_tenants: StandingTenants) -> None:
    """In place of pytest-django's, which makes no tenants, and no template: each new tenant would make one."""


@pytest.fixture
def tenant_connections(db: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Allow connections to tenants: Django's test cases refuse an alias that was unknown when the test began.

    And a write to a tenant inside a bare ``atomic()``, which does not hold it, raises, whatever the settings say.
    """
    with django_db_blocker.unblock():
        djangos_own = BaseDatabaseWrapper.ensure_connection
    with pytest.MonkeyPatch.context() as patch, override_settings(TENANT_BARE_TRANSACTIONS="raise"):
        patch.setattr(DatabaseWrapper, "ensure_connection", djangos_own)
        yield


@pytest.fixture
def tenant(tenant_connections: None, standing_tenants: StandingTenants) -> Iterator[Tenant]:
    """A tenant with a database as new: ``acme``. None is current."""
    yield from _lent(standing_tenants, SLUG)


@pytest.fixture
def other_tenant(tenant_connections: None, standing_tenants: StandingTenants) -> Iterator[Tenant]:
    """Another one: ``globex``."""
    yield from _lent(standing_tenants, OTHER_SLUG)


@pytest.fixture
def use_tenant(tenant: Tenant) -> Iterator[type[context.use_tenant]]:
    """The whole test runs with ``tenant`` current.

    Gives ``tenants.context.use_tenant``, since an argument of this name hides that.
    """
    with context.use_tenant(tenant):
        yield context.use_tenant


@pytest.fixture
def make_tenant(tenant_connections: None) -> Iterator[Callable[..., Tenant]]:
    """Makes tenants of this test's own, for what ``tenant`` would not recover from: suspend it, migrate it, drop it.

    Takes what ``create_tenant`` takes. Their databases are dropped at the end.
    """
    made: list[Tenant] = []

    def make(slug: str, **details: object) -> Tenant:
        made.append(create_tenant(slug=slug, **details))  # type: ignore[arg-type]  # create_tenant's own, by name
        databases().pin(made[-1].alias)
        return made[-1]

    yield make
    for tenant in made:
        databases().unpin(tenant.alias)
        drop_database(tenant)
        Tenant.objects.filter(pk=tenant.pk).delete()


def _lent(standing: StandingTenants, slug: str) -> Iterator[Tenant]:
    tenant = standing.find(slug)
    databases().pin(tenant.alias)
    yield tenant
    databases().unpin(tenant.alias)
    standing.clean(tenant)
