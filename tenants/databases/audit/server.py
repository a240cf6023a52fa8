"""What a server's catalogs say of roles and databases, asked once for all tenants on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import connections

from tenants import naming
from tenants.databases.audit.finding import Finding, Findings, from_rows, settle
from tenants.databases.roles import TENANT_CONNECTION_LIMIT, ensure_runtime_role
from tenants.databases.sessions import MAINTENANCE_DATABASE, maintenance
from tenants.models import Installation, Server, Template, Tenant
from tenants.routing.connections import is_mains

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

NO_ROLE = "it has no role"

# `ours`: the tenants that are looked at, and their roles and databases where they are there. `me`: the platform's role.
_OURS = """
WITH me AS (SELECT oid, rolname, rolsuper FROM pg_roles WHERE rolname = current_user),
grp AS (SELECT oid, rolname FROM pg_roles WHERE rolname = %(group)s),
ours AS (
    SELECT alias, is_closed, r.oid AS role, d.oid AS database
    FROM unnest(%(aliases)s::text[], %(closed)s::bool[]) AS given(alias, is_closed)
    LEFT JOIN pg_roles r ON r.rolname = alias LEFT JOIN pg_database d ON d.datname = alias
)
"""

_ROLES = """
SELECT %(group)s, 'it is the group role, and does not exist', format('CREATE ROLE %%I NOLOGIN', %(group)s), NULL
WHERE NOT EXISTS (SELECT FROM grp)
UNION ALL
SELECT alias, %(no_role)s, NULL, NULL FROM ours WHERE role IS NULL
UNION ALL
SELECT alias, format('its role has %%s', has), format('ALTER ROLE %%I %%s', alias, should), NULL
FROM ours JOIN pg_roles r ON r.oid = role, LATERAL (VALUES
    (rolsuper, 'SUPERUSER', 'NOSUPERUSER'),
    (rolcreatedb, 'CREATEDB', 'NOCREATEDB'),
    (rolcreaterole, 'CREATEROLE', 'NOCREATEROLE'),
    (rolreplication, 'REPLICATION', 'NOREPLICATION'),
    (rolbypassrls, 'BYPASSRLS', 'NOBYPASSRLS'),
    (NOT rolcanlogin, 'NOLOGIN', 'LOGIN'),
    (NOT rolinherit, 'NOINHERIT', 'INHERIT'),
    (rolconnlimit <> %(limit)s, format('CONNECTION LIMIT %%s', rolconnlimit), 'CONNECTION LIMIT %(limit)s'),
    (rolvaliduntil < 'infinity', 'VALID UNTIL a time', 'VALID UNTIL ''infinity''')
) AS attribute(is_wrong, has, should) WHERE is_wrong
UNION ALL
SELECT rolname, format('the group role has %%s', has), format('ALTER ROLE %%I %%s', rolname, should), NULL
FROM grp JOIN pg_roles r USING (oid, rolname), LATERAL (VALUES
    (rolcanlogin, 'LOGIN', 'NOLOGIN'),
    (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls, 'rights on the server',
        'NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS')
) AS attribute(is_wrong, has, should) WHERE is_wrong
UNION ALL
SELECT alias, 'its role is no member of the group role, and has no rights on rows',
    format('GRANT %%I TO %%I', grp.rolname, alias), NULL
FROM ours, grp WHERE role IS NOT NULL
    AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = grp.oid AND m.member = role AND m.inherit_option)
UNION ALL
SELECT DISTINCT member.rolname, format('it is a member of %%I', parent.rolname),
    format('REVOKE %%I FROM %%I', parent.rolname, member.rolname), NULL
FROM pg_auth_members m JOIN pg_roles parent ON parent.oid = m.roleid JOIN pg_roles member ON member.oid = m.member
WHERE m.member IN (SELECT role FROM ours UNION SELECT oid FROM grp) AND m.roleid NOT IN (SELECT oid FROM grp)
UNION ALL
SELECT alias, 'its role may make others members of the group role',
    format('REVOKE ADMIN OPTION FOR %%I FROM %%I', grp.rolname, alias), NULL
FROM ours, grp, pg_auth_members m WHERE m.roleid = grp.oid AND m.member = role AND m.admin_option
UNION ALL
SELECT DISTINCT alias, format('%%I is a member of its role', member.rolname),
    format('REVOKE %%I FROM %%I', alias, member.rolname), NULL
FROM ours, pg_auth_members m JOIN pg_roles member ON member.oid = m.member
WHERE m.roleid = role AND m.member NOT IN (SELECT oid FROM me)
UNION ALL
SELECT DISTINCT member.rolname, 'it is no tenant''s role, and a member of the group role',
    format('REVOKE %%I FROM %%I', grp.rolname, member.rolname), NULL
FROM grp, pg_auth_members m JOIN pg_roles member ON member.oid = m.member
WHERE m.roleid = grp.oid AND m.member NOT IN (SELECT oid FROM me) AND member.rolname !~ '^tenant_[0-9a-f]{32}$'
UNION ALL
SELECT alias, format('its role or database has the setting %%s', split_part(setting, '=', 1)), NULL,
    CASE WHEN setrole = 0 THEN format('ALTER DATABASE %%I RESET %%I', alias, split_part(setting, '=', 1))
         ELSE format('ALTER ROLE %%I%%s RESET %%I', setrole::regrole,
            (SELECT format(' IN DATABASE %%I', datname) FROM pg_database d WHERE d.oid = setdatabase),
            split_part(setting, '=', 1)) END
FROM ours JOIN pg_db_role_setting ON setrole = role OR setdatabase = database, LATERAL unnest(setconfig) AS setting
"""

_DATABASES = """
, granted AS (
    SELECT d.oid, datname, datdba, grantee, privilege_type FROM pg_database d,
        LATERAL aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee <> datdba
), wanted AS (
    SELECT alias, database, role, privilege FROM ours, unnest('{CONNECT,TEMPORARY}'::text[]) AS privilege
    WHERE database IS NOT NULL AND role IS NOT NULL
)
SELECT alias, 'it has no database', NULL, 'restore it from a backup; Silo never makes one again'
FROM ours WHERE database IS NULL
UNION ALL
SELECT alias, 'its database is half dropped', NULL,
    format('restore it from a backup; all that can be done with this one is DROP DATABASE %%I', alias)
FROM ours JOIN pg_database d ON d.oid = database WHERE datconnlimit = -2
UNION ALL
SELECT alias, format('its database %%s', has), format('ALTER DATABASE %%I %%s', alias, should), NULL
FROM ours JOIN pg_database d ON d.oid = database, me, LATERAL (VALUES
    (datdba <> me.oid, format('is owned by %%I', datdba::regrole), format('OWNER TO %%I', me.rolname)),
    (datconnlimit NOT IN (-1, -2), format('has CONNECTION LIMIT %%s', datconnlimit), 'CONNECTION LIMIT -1'),
    (datistemplate, 'is a template that others may clone', 'IS_TEMPLATE false')
) AS attribute(is_wrong, has, should) WHERE is_wrong
UNION ALL
SELECT alias, CASE WHEN datallowconn THEN 'it is suspended, and its database takes connections'
    ELSE 'it is active, and its database takes no connections' END, NULL,
    'manage.py tenants suspend SLUG; and to serve it again, manage.py tenants resume SLUG'
FROM ours JOIN pg_database d ON d.oid = database WHERE datallowconn = is_closed
UNION ALL
SELECT alias, format('its role lacks %%s on its database', privilege),
    format('GRANT %%s ON DATABASE %%I TO %%I', privilege, alias, alias), NULL
FROM wanted WHERE NOT EXISTS (
    SELECT FROM granted WHERE oid = database AND grantee = role AND privilege_type = privilege)
UNION ALL
SELECT datname, format('%%s has %%s on it',
        CASE WHEN grantee = 0 THEN 'every role' ELSE quote_ident(pg_get_userbyid(grantee)) END, privilege_type),
    format('REVOKE %%s ON DATABASE %%I FROM %%s', privilege_type, datname,
        CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END), NULL
FROM granted WHERE (oid IN (SELECT database FROM ours) OR datname = ANY(%(sealed)s)) AND NOT EXISTS (
    SELECT FROM wanted WHERE database = oid AND role = grantee AND privilege = privilege_type)
UNION ALL
SELECT datname, 'every role of the server may connect to it',
    CASE WHEN pg_has_role(datdba, 'USAGE') AND datname = ANY(%(shared)s) THEN revoke END,
    'as a superuser: ' || revoke || format('; GRANT CONNECT ON DATABASE %%I TO those that need it', datname)
FROM granted JOIN pg_database d USING (oid, datname, datdba),
    LATERAL format('REVOKE ALL ON DATABASE %%I FROM PUBLIC', datname) AS revoke
WHERE grantee = 0 AND privilege_type = 'CONNECT' AND datallowconn
    AND oid NOT IN (SELECT database FROM ours WHERE database IS NOT NULL) AND datname <> ALL(%(sealed)s)
UNION ALL
SELECT alias, format('its role has %%s on another database', privilege_type),
    format('REVOKE %%s ON DATABASE %%I FROM %%I', privilege_type, datname, alias), NULL
FROM granted JOIN ours ON role = grantee WHERE datname <> alias
UNION ALL
SELECT datname, format('the group role has %%s on it', privilege_type),
    format('REVOKE %%s ON DATABASE %%I FROM %%I', privilege_type, datname, grp.rolname), NULL
FROM granted JOIN grp ON grp.oid = grantee
WHERE granted.oid NOT IN (SELECT database FROM ours WHERE database IS NOT NULL) AND datname <> ALL(%(sealed)s)
UNION ALL
SELECT name, 'it is recorded as a template, and has no database', NULL,
    'no tenant can be cloned from it; remove its row from tenants_template in main'
FROM unnest(%(sealed)s::text[]) AS name WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
UNION ALL
SELECT datname, 'it is a template, and takes connections',
    format('ALTER DATABASE %%I ALLOW_CONNECTIONS false', datname), NULL
FROM pg_database WHERE datname = ANY(%(sealed)s) AND datallowconn
"""

_LEFTOVERS = """
SELECT datname, CASE WHEN datconnlimit = -2 THEN 'it is the rest of a database whose DROP was cut off'
        ELSE 'it is a database of no tenant' END, NULL,
    CASE WHEN datconnlimit = -2 THEN '' ELSE 'look what is in it; if nobody needs that, ' END
        || format('DROP DATABASE %%I', datname)
FROM pg_database d, me WHERE datname ~ '^tenant_[0-9a-f]{32}$' AND datname <> ALL(%(known)s) AND datdba = me.oid
    AND NOT EXISTS (SELECT FROM pg_roles r WHERE rolname = datname  -- another installation's on this server
        AND NOT EXISTS (SELECT FROM pg_auth_members m JOIN grp ON grp.oid = m.roleid WHERE m.member = r.oid))
UNION ALL
SELECT datname, 'it is a template without a record', NULL, format('DROP DATABASE %%I', datname)
FROM pg_database WHERE starts_with(datname, %(template_prefix)s) AND datname <> ALL(%(templates)s)
UNION ALL
SELECT r.rolname, 'it is a role of no tenant', NULL, format('when its database has gone, DROP ROLE %%I', r.rolname)
FROM grp JOIN pg_auth_members m ON m.roleid = grp.oid JOIN pg_roles r ON r.oid = m.member
WHERE r.rolname ~ '^tenant_[0-9a-f]{32}$' AND r.rolname <> ALL(%(known)s)
"""


def audit_server(server: Server, tenants: Sequence[Tenant], *, leftovers: bool, fix: bool) -> Findings:
    """Roles, databases and their rights of these tenants of the server; with ``leftovers`` what no tenant owns.

    Raises psycopg2's errors where the server cannot be asked.
    """
    facts = _facts(server, tenants)
    by_alias = {tenant.alias: tenant for tenant in tenants}

    def look() -> list[Finding]:
        found = _ask(cursor, _ROLES, facts) + _ask(cursor, _DATABASES, facts)
        return [_with_role(cursor, by_alias[one.subject]) if one.problem == NO_ROLE else one for one in found]

    with maintenance(server) as cursor:
        found = settle(look, cursor.execute, fix=fix)
        if leftovers:
            found += Findings(left=_leftovers(cursor, server, facts))
    slugs = {alias: tenant.slug for alias, tenant in by_alias.items()}
    return Findings(_with_slugs(found.mended, slugs), _with_slugs(found.left, slugs))


def _ask(cursor: Cursor, query: str, facts: dict[str, Any]) -> list[Finding]:
    cursor.execute(_OURS + query, facts)
    return from_rows(cursor.fetchall())


def _with_role(cursor: Cursor, tenant: Tenant) -> Finding:
    make = partial(ensure_runtime_role, cursor, tenant, Installation.current().id)
    return Finding(NO_ROLE, tenant.alias, mend=make)


def _leftovers(cursor: Cursor, server: Server, facts: dict[str, Any]) -> tuple[Finding, ...]:
    found = _ask(cursor, _LEFTOVERS, facts | _names(server))
    # What was made while we looked has its row by now: the row comes first.
    since = _names(server)
    return tuple(one for one in found if one.subject not in {*since["known"], *since["templates"]})


def _names(server: Server) -> dict[str, list[str]]:
    tenants = Tenant.objects.filter(server=server).values_list("pk", flat=True)
    return {
        "known": [naming.alias_of(pk) for pk in tenants],
        "templates": list(Template.objects.filter(server=server).values_list("name", flat=True)),
    }


def _facts(server: Server, tenants: Sequence[Tenant]) -> dict[str, Any]:
    installation = Installation.current()
    sealed = Template.objects.filter(server=server, state=Template.State.READY)
    main = [connections["default"].settings_dict["NAME"]] if is_mains(server) else []
    return {
        "no_role": NO_ROLE,
        "group": naming.group_role(installation.id),
        "limit": TENANT_CONNECTION_LIMIT,
        "aliases": [tenant.alias for tenant in tenants],
        "closed": [tenant.state == Tenant.State.SUSPENDED for tenant in tenants],
        "sealed": list(sealed.values_list("name", flat=True)),
        "template_prefix": naming.template_prefix(installation.id),
        "shared": [MAINTENANCE_DATABASE, "template1", *main],
    }


def _with_slugs(found: tuple[Finding, ...], slugs: dict[str, str]) -> tuple[Finding, ...]:
    return tuple(finding.as_subject(slugs.get(finding.subject, finding.subject)) for finding in found)
