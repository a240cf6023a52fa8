"""The files for a PgBouncer, looked at where no PgBouncer is installed."""

from __future__ import annotations

from collections.abc import Iterator
from configparser import ConfigParser

import pytest

from tenants.databases import pgbouncer
from tenants.models import Server, Tenant
from tenants.routing.credentials import runtime_password
from tests.support.fleet import as_superuser, on_server


@pytest.fixture
def server(acme: Tenant) -> Server:
    return acme.server


@pytest.fixture
def asking(server: Server) -> Iterator[str]:
    """The role that PgBouncer asks as, made by the printed SQL."""
    as_superuser("postgres", pgbouncer.sql(server))
    role = pgbouncer.asking_role()
    yield role
    as_superuser(
        "postgres", f"DROP SCHEMA {role} CASCADE; REVOKE ALL ON DATABASE postgres FROM {role}; DROP ROLE {role}"
    )


class TheConfiguration:
    def test_has_one_line_for_any_number_of_tenants(self, server: Server, globex: Tenant) -> None:
        printed = ConfigParser(interpolation=None)
        printed.read_string(pgbouncer.ini(server, auth="query"))
        assert set(printed["databases"]) == {"*", "postgres"}
        assert printed["pgbouncer"]["pool_mode"] == "transaction"
        assert len(pgbouncer.users(server, auth="query").splitlines()) == 1

    def test_has_every_tenants_password_only_where_asked_to(self, server: Server, acme: Tenant) -> None:
        password = runtime_password(acme)
        assert f'"{acme.alias}" "{password}"' in pgbouncer.users(server, auth="file")
        for file in (pgbouncer.ini(server, auth="query"), pgbouncer.users(server, auth="query"), pgbouncer.sql(server)):
            assert password not in file


class TheFunctionThatPgBouncerAsks:
    def test_tells_verifiers_of_tenants_and_of_nobody_else(self, asking: str, acme: Tenant) -> None:
        def asked_of(role: str) -> list[tuple[str, str]]:
            return on_server(f"SET ROLE {asking}; SELECT name, password FROM {asking}.password_of(%s)", role)

        as_superuser("postgres", f"GRANT {asking} TO silo")
        ((name, verifier),) = asked_of(acme.alias)
        assert name == acme.alias
        assert verifier.startswith("SCRAM-SHA-256$")
        assert asked_of("silo") == asked_of("postgres") == asked_of(asking) == []
