"""What a new cluster holds before anyone may use it: its configuration, the platform's role and the main database."""

import hashlib
from pathlib import Path

PLATFORM_ROLE = "silo"
MAIN_DATABASE = "silo"

# The socket's folder is private to the server's user (0700): who can reach the socket may be the platform. That is the
# wall, and it needs no password on the disk. A tenant's role proves itself, and reaches only the database of its name.
PG_HBA = f"""\
# Written by platform_site.embedded at each start.
# TYPE  DATABASE  USER      METHOD
local   all       postgres  trust
local   all       {PLATFORM_ROLE}      trust
local   sameuser  all       scram-sha-256
local   all       all       reject
"""

# Every step can be done again, so a start that was killed half-way is simply completed. LOGIN comes last: until then no
# one can connect as the platform, and so no one finds a cluster that is not finished. The search path is said because
# the default begins with "$user", and tenant databases have a schema of this name for Silo's notes.
#
# Without pg_signal_backend neither a tenant can be suspended nor its database dropped while its role has a session
# there, or autovacuum a worker: the platform makes the tenants' roles, but does not have their rights.
FIRST_STEPS = f"""\
SELECT 'CREATE ROLE {PLATFORM_ROLE} NOLOGIN NOSUPERUSER CREATEDB CREATEROLE'
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{PLATFORM_ROLE}') \\gexec
SELECT 'CREATE DATABASE {MAIN_DATABASE} OWNER {PLATFORM_ROLE}'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{MAIN_DATABASE}') \\gexec
GRANT pg_signal_backend TO {PLATFORM_ROLE};
REVOKE ALL ON DATABASE postgres, template1, {MAIN_DATABASE} FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres, {MAIN_DATABASE} TO {PLATFORM_ROLE};
ALTER ROLE {PLATFORM_ROLE} SET search_path = public;
ALTER ROLE {PLATFORM_ROLE} LOGIN;
"""

# Stands in a home when these very steps are done: a cluster of an older version gets the new ones when it starts.
READY_MARK = "ready-" + hashlib.sha256(FIRST_STEPS.encode()).hexdigest()[:12]


def configuration(home: Path, sockets: Path, *, durable: bool) -> str:
    """The whole postgresql.conf. What is not named has PostgreSQL's default."""
    settings: dict[str, str] = {
        "data_directory": str(home / "data"),
        "hba_file": str(home / "pg_hba.conf"),
        "ident_file": str(home / "data" / "pg_ident.conf"),
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %u@%d ",
        "log_checkpoints": "off",
        # Compiling costs more than it saves on the small tables of development.
        "jit": "off",
    }
    if not durable:
        settings |= {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
        }
    lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
    return "# Written by platform_site.embedded at each start.\n" + "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
