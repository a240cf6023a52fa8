"""The files of a PgBouncer in transaction mode between requests and one server's tenants.

One line serves any number of tenants: databases and roles are found by their names when somebody connects. What a role
logs in with is asked of PostgreSQL (``query``), by a function that only a superuser can make; where there is none, and
before PgBouncer 1.19, the passwords stand in a file (``file``), which is to be written anew for each tenant that is
made or rotated.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from django.conf import settings
from django.db import connections
from psycopg2.extensions import encrypt_password

from tenants import naming
from tenants.databases.roles import TENANT_CONNECTION_LIMIT
from tenants.databases.sessions import MAINTENANCE_DATABASE
from tenants.models import Installation, Server, Tenant
from tenants.routing.connections import POSTGRESQL_PORT, address_of, pooler_of
from tenants.routing.credentials import runtime_password

_INI = """\
; PgBouncer between requests and the tenants of the server {server}; printed by `manage.py tenants pgbouncer ini`.
; Rollouts, `tenants` commands and the main database go past it: they need sessions of their own.

[databases]
; Any tenant's database, under its own name. A tenant that is made needs no line, and no reload.
* = host={host} port={port} timezone=UTC
{asked}
[pgbouncer]
; Where Silo looks for it: `pooler host` and `pooler port` of the server in the admin.
listen_addr = {listen_host}
listen_port = {listen_port}

pool_mode = transaction
; Sessions with PostgreSQL for one tenant. A tenant's role may have {limit}.
default_pool_size = 5
; There is no limit to all of them together, so that of a tenant that rests is closed soon.
server_idle_timeout = 30
; From all of Silo's processes: TENANT_POOL_SIZE times the processes.
max_client_conn = 2000
; A request waits for a session so long, and not the two minutes of the default.
query_wait_timeout = 10
; Where PostgreSQL refused a session, such as of a tenant that was suspended, it is asked again soon.
server_login_retry = 1

auth_type = scram-sha-256
; The output of `manage.py tenants pgbouncer users`; only PgBouncer may read it.
auth_file = userlist.txt
{auth}"""

_ASKED = "{database} = host={host} port={port} pool_size=2\n"

_AUTH_QUERY = """\
; Made by the output of `manage.py tenants pgbouncer sql`. The option auth_dbname is new in PgBouncer 1.19.
auth_dbname = {database}
auth_user = {user}
auth_query = SELECT name, password FROM {user}.password_of($1)
"""

_SQL = """\
-- Lets PgBouncer ask for the password verifiers of this installation's tenants, and of no other role.
-- Run it once on the server {server}, as a superuser, in the database {database}. It can be run again.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{user}') THEN CREATE ROLE {user}; END IF;
END $$;
ALTER ROLE {user} LOGIN PASSWORD '{verifier}';
GRANT CONNECT ON DATABASE {database} TO {user};
CREATE SCHEMA IF NOT EXISTS {user};
GRANT USAGE ON SCHEMA {user} TO {user};
CREATE OR REPLACE FUNCTION {user}.password_of(asked text) RETURNS TABLE (name text, password text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT rolname::text, rolpassword FROM pg_authid
    WHERE rolname = asked AND rolname ~ '^tenant_[0-9a-f]{{32}}$' AND rolcanlogin AND NOT rolsuper
        AND pg_has_role(oid, '{group}', 'MEMBER')
$$;
REVOKE ALL ON FUNCTION {user}.password_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {user}.password_of TO {user};
"""


def ini(server: Server, *, auth: str) -> str:
    """``pgbouncer.ini``."""
    host, port = address_of(server)
    pooler_host, pooler_port = pooler_of(server)
    facts = {"host": host or "127.0.0.1", "port": port or POSTGRESQL_PORT, "database": MAINTENANCE_DATABASE}
    asks = auth == "query"
    return _INI.format(
        **facts,
        server=server,
        listen_host=pooler_host or "127.0.0.1",
        listen_port=pooler_port,
        limit=TENANT_CONNECTION_LIMIT,
        asked=_ASKED.format(**facts) if asks else "",
        auth=_AUTH_QUERY.format(**facts, user=asking_role()) if asks else "",
    )


def users(server: Server, *, auth: str) -> str:
    """``userlist.txt``, which holds secrets: of the role that asks, or else of every tenant of the server."""
    if auth == "query":
        return _user(asking_role(), _asking_password())
    there = Tenant.objects.filter(server=server).exclude(state=Tenant.State.DELETING)
    return "".join(_user(tenant.alias, runtime_password(tenant)) for tenant in there)


def sql(server: Server) -> str:
    """What a superuser runs once, so that PgBouncer can ask for verifiers. Holds no password, only a verifier."""
    main = connections["default"]
    main.ensure_connection()
    user = asking_role()
    return _SQL.format(
        server=server,
        database=MAINTENANCE_DATABASE,
        user=user,
        group=naming.group_role(Installation.current().id),
        verifier=encrypt_password(_asking_password(), user, scope=main.connection, algorithm="scram-sha-256"),
    )


def asking_role() -> str:
    """The role that PgBouncer asks as; a schema of its name holds the function."""
    return naming.pgbouncer_role(Installation.current().id)


def _asking_password() -> str:
    message = f"silo pgbouncer:{Installation.current().id.hex}".encode()
    digest = hmac.new(settings.TENANT_CREDENTIALS_KEY.encode(), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _user(name: str, password: str) -> str:
    return f'"{name}" "{password}"\n'
