"""The audit: each thing it looks at, broken by PostgreSQL's own means, is found, and mended where nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from tenants.databases.audit.finding import Finding, Findings
from tenants.databases.audit.run import audit
from tenants.lifecycle import suspend
from tenants.models import Installation, Template, Tenant
from tenants.naming import group_role, template_prefix
from tests.support.fleet import Fleet, as_owner, as_superuser, on_server

NOBODYS = "tenant_00000000000000000000000000000bad"

# What is broken on the server, and what the audit says of it. The strangers are roles of nobody's.
ROLES = {
    "ALTER ROLE {role} CREATEDB": "its role has CREATEDB",
    "ALTER ROLE {role} CREATEROLE": "its role has CREATEROLE",
    "ALTER ROLE {role} NOINHERIT": "its role has NOINHERIT",
    "ALTER ROLE {role} CONNECTION LIMIT 3": "its role has CONNECTION LIMIT 3",
    "GRANT {stranger} TO {role}": "it is a member of {stranger}",
    "GRANT {role} TO {other_stranger}": "{other_stranger} is a member of its role",
    "GRANT {group} TO {role} WITH ADMIN OPTION": "its role may make others members of the group role",
    "ALTER DATABASE {role} CONNECTION LIMIT 3": "its database has CONNECTION LIMIT 3",
    "ALTER DATABASE {role} IS_TEMPLATE true": "its database is a template that others may clone",
    "REVOKE TEMPORARY ON DATABASE {role} FROM {role}": "its role lacks TEMPORARY on its database",
    "GRANT CONNECT ON DATABASE {role} TO PUBLIC": "every role has CONNECT on it",
    "GRANT CREATE ON DATABASE {role} TO {role}": "{role} has CREATE on it",
    "GRANT CONNECT ON DATABASE {main} TO {role}": "its role has CONNECT on another database",
}
ROLES_BY_HAND = {
    "ALTER ROLE {role} REPLICATION": ("its role has REPLICATION", "ALTER ROLE {role} NOREPLICATION"),
    "ALTER ROLE {role} BYPASSRLS": ("its role has BYPASSRLS", "ALTER ROLE {role} NOBYPASSRLS"),
    "GRANT pg_monitor TO {role}": ("it is a member of pg_monitor", "REVOKE pg_monitor FROM {role}"),
    "ALTER ROLE {role} SET work_mem = '1MB'": (
        "its role or database has the setting work_mem",
        "ALTER ROLE {role} RESET work_mem",
    ),
}

# What is broken inside the tenant's database.
INSIDE = {
    "GRANT CREATE ON SCHEMA public TO {group}": "the group role has CREATE on schema public",
    "GRANT USAGE ON SCHEMA silo TO PUBLIC": "every role has USAGE on schema silo",
    "REVOKE UPDATE ON notes_note FROM {group}": "the group role lacks UPDATE on table notes_note",
    "REVOKE USAGE ON SEQUENCE notes_note_id_seq FROM {group}": (
        "the group role lacks USAGE on sequence notes_note_id_seq"
    ),
    "GRANT TRUNCATE ON notes_note TO {group}": "the group role has TRUNCATE on table notes_note",
    "GRANT SELECT ON notes_note TO PUBLIC": "every role has SELECT on table notes_note",
    "GRANT DELETE ON django_migrations TO {role}": "its role has DELETE on table django_migrations",
    "GRANT UPDATE (value) ON silo.facts TO {role}": "its role has UPDATE on table silo.facts",
    "GRANT DELETE ON silo.facts TO {group}": "the group role has DELETE on table silo.facts",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE INSERT ON TABLES FROM {group}": (
        "the group role will lack INSERT on new tables"
    ),
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC": (
        "every role will have SELECT on new tables"
    ),
    "CREATE SCHEMA extra; GRANT CREATE ON SCHEMA extra TO {group}": "the group role has CREATE on schema extra",
}
TRIED = {
    "its role can CREATE TABLE",
    "its role can write the records of migrations",
    "its role can write Silo's notes",
}


@pytest.fixture
def tenant(fleet: Fleet) -> Tenant:
    return fleet.make("first")[0]


@pytest.fixture
def names(tenant: Tenant) -> Iterator[dict[str, str]]:
    strangers = {name: f"{name}_{tenant.id.hex}" for name in ("stranger", "other_stranger")}
    for stranger in strangers.values():
        on_server(f"CREATE ROLE {stranger}")
    yield {
        "role": tenant.alias,
        "group": group_role(Installation.current().id),
        **strangers,
        "main": connections["default"].settings_dict["NAME"],
    }
    on_server(f"ALTER DATABASE {tenant.alias} IS_TEMPLATE false")  # or it could not be dropped
    on_server(f"DROP ROLE {', '.join(strangers.values())}")


def found(tenant: Tenant, *, fix: bool = False) -> Findings:
    return audit([tenant], whole=False, fix=fix, workers=1)


def problems(findings: tuple[Finding, ...]) -> set[str]:
    """Of the test's tenant: other tests' databases are on the server, too."""
    return {finding.problem for finding in findings if finding.subject == "first"}


class ATenantAsItWasMade:
    def test_is_as_it_should_be(self, tenant: Tenant) -> None:
        assert problems(found(tenant).left) == set()

    def test_is_so_when_it_is_suspended(self, tenant: Tenant) -> None:
        suspend(tenant)
        assert problems(found(tenant).left) == set()


class WhatIsBroken:
    def test_in_roles_is_found_and_mended(self, tenant: Tenant, names: dict[str, str]) -> None:
        for statement in ROLES:
            on_server(statement.format(**names))
        expected = {problem.format(**names) for problem in ROLES.values()}
        tried = {"its role cannot make temporary tables", "its role can CREATE SCHEMA"}
        assert problems(found(tenant).left) == expected | tried
        # Before tenants' own databases are looked into.
        assert problems(found(tenant, fix=True).mended) == expected
        assert problems(found(tenant).left) == set()

    def test_beyond_the_platforms_rights_is_found_and_named(self, tenant: Tenant, names: dict[str, str]) -> None:
        for statement in ROLES_BY_HAND:
            as_superuser("postgres", statement.format(**names))
        left = found(tenant, fix=True).left
        assert problems(left) == {problem for problem, _ in ROLES_BY_HAND.values()}
        said = {finding.by_hand or finding.statement for finding in left if finding.subject == "first"}
        for _, undo in ROLES_BY_HAND.values():
            assert undo.format(**names) in said
            as_superuser("postgres", undo.format(**names))

    def test_inside_is_found_and_mended(self, tenant: Tenant, names: dict[str, str]) -> None:
        for statement in INSIDE:
            as_owner(tenant, statement.format(**names))
        assert problems(found(tenant).left) == {*INSIDE.values(), *TRIED}
        assert problems(found(tenant, fix=True).mended) == {*INSIDE.values(), *TRIED}
        assert problems(found(tenant).left) == set()

    def test_in_ownership_is_found_and_named(self, tenant: Tenant) -> None:
        as_superuser(tenant.alias, "CREATE TABLE public.mine (); CREATE TYPE public.colour AS ENUM ('red')")
        as_superuser(tenant.alias, "CREATE FUNCTION public.one() RETURNS int LANGUAGE sql RETURN 1")
        left = found(tenant, fix=True).left
        assert {
            "table mine is owned by postgres",
            "type colour is owned by postgres",
            "routine one() is owned by postgres",
        } <= problems(left)
        assert "ALTER TABLE mine OWNER TO silo" in {finding.statement for finding in left}

    def test_in_the_password_is_found_and_mended(self, tenant: Tenant) -> None:
        on_server(f"ALTER ROLE {tenant.alias} PASSWORD 'another'")
        assert problems(found(tenant, fix=True).mended) == {"its role cannot log in (28P01)"}
        assert problems(found(tenant).left) == set()

    def test_by_a_role_that_may_not_log_in_or_is_gone_is_found_and_mended(self, tenant: Tenant) -> None:
        on_server(f"ALTER ROLE {tenant.alias} NOLOGIN VALID UNTIL '2000-01-01'")
        assert problems(found(tenant, fix=True).mended) == {"its role has NOLOGIN", "its role has VALID UNTIL a time"}
        as_superuser("postgres", f"DROP OWNED BY {tenant.alias}")
        on_server(f"REVOKE ALL ON DATABASE {tenant.alias} FROM {tenant.alias}")
        on_server(f"DROP ROLE {tenant.alias}")
        assert "it has no role" in problems(found(tenant, fix=True).mended)
        assert problems(found(tenant).left) == set()

    def test_by_a_rotation_that_was_cut_off_is_found_and_mended(self, tenant: Tenant) -> None:
        Tenant.objects.filter(pk=tenant.pk).update(credentials_pending_key=tenant.credentials_key)
        tenant.refresh_from_db()
        assert problems(found(tenant, fix=True).mended) == {"its password is being rotated, or that was cut off"}
        assert Tenant.objects.get(pk=tenant.pk).credentials_generation == 2
        assert problems(found(tenant).left) == set()

    def test_in_its_stamp_is_found_and_left_to_a_person(self, tenant: Tenant) -> None:
        as_owner(tenant, "UPDATE silo.facts SET value = gen_random_uuid() WHERE name = 'tenant'")
        assert problems(found(tenant, fix=True).left) == {"its database says that it is another tenant's"}

    def test_in_its_state_is_found_and_left_to_a_person(self, tenant: Tenant) -> None:
        Tenant.objects.filter(pk=tenant.pk).update(state=Tenant.State.SUSPENDED)
        tenant.refresh_from_db()
        assert problems(found(tenant, fix=True).left) == {"it is suspended, and its database takes connections"}

    def test_by_a_drop_is_found_and_left_to_a_person(self, tenant: Tenant) -> None:
        as_superuser("postgres", f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{tenant.alias}'")
        assert "its database is half dropped" in problems(found(tenant, fix=True).left)
        on_server(f"DROP DATABASE {tenant.alias}")
        assert "it has no database" in problems(found(tenant, fix=True).left)


class TheRestOfTheServer:
    def test_is_looked_through_for_what_no_tenant_owns(self, tenant: Tenant, fleet: Fleet) -> None:
        installation = Installation.current()
        stray_template = f"{template_prefix(installation.id)}00000000_00000bad"
        on_server(f"CREATE ROLE {NOBODYS} IN ROLE {group_role(installation.id)}")
        try:
            on_server(f"CREATE DATABASE {NOBODYS}")
            on_server(f"CREATE DATABASE {stray_template}")
            left = audit([tenant], whole=True, fix=True, workers=1).left
        finally:
            for name in (NOBODYS, stray_template):
                on_server(f"DROP DATABASE IF EXISTS {name}")
            on_server(f"DROP ROLE {NOBODYS}")
        said = {(one.subject, one.problem): one.by_hand for one in left}
        assert f"DROP ROLE {NOBODYS}" in said[NOBODYS, "it is a role of no tenant"]
        assert f"DROP DATABASE {NOBODYS}" in said[NOBODYS, "it is a database of no tenant"]
        assert said[stray_template, "it is a template without a record"] == f"DROP DATABASE {stray_template}"

    def test_is_closed_where_it_is_the_platforms_own(self, tenant: Tenant, names: dict[str, str]) -> None:
        template = Template.objects.filter(state=Template.State.READY).first()
        assert template is not None
        on_server(f"GRANT CONNECT ON DATABASE {names['main']}, {template.name} TO PUBLIC")
        mended = {(one.subject, one.problem) for one in found(tenant, fix=True).mended}
        assert (names["main"], "every role of the server may connect to it") in mended
        assert (template.name, "every role has CONNECT on it") in mended


class TheCommand:
    def test_says_what_is_wrong_and_how_to_mend_it(self, tenant: Tenant, fleet: Fleet) -> None:
        on_server(f"ALTER ROLE {tenant.alias} CREATEDB")
        done = fleet.manage("tenants", "audit", "first", "--format", "json")
        assert done.returncode == 1, done.stderr
        (problem,) = (one for one in json.loads(done.stdout)["left"] if one["of"] == ["first"])
        assert (problem["problem"], problem["count"]) == ("its role has CREATEDB", 1)
        assert problem["by_hand"] == f"ALTER ROLE {tenant.alias} NOCREATEDB"

    def test_refuses_a_slug_that_nobody_has(self, tenant: Tenant) -> None:
        with pytest.raises(CommandError, match="nobody") as refusal:
            call_command("tenants", "audit", "nobody")
        assert refusal.value.returncode == 2
