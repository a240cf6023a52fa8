"""Why a server gives no session: what psycopg2 does not tell.

psycopg2 has ``pgcode=None`` for every failed connect, be the server gone, full or unwilling, and the message is in the
server's language. libpq knows the SQLSTATE, and puts it in the message of a session that asks for it before it begins.
"""

from __future__ import annotations

import ctypes
import re
import select
import time
from typing import Any

import psycopg2
from django.db import OperationalError
from psycopg2 import _psycopg, errorcodes, extensions

from tenants.databases.sessions import MAINTENANCE_DATABASE, Database
from tenants.errors import (
    DatabaseClosedError,
    DatabaseCrowdedError,
    DatabaseMissingError,
    ServerCrowdedError,
    ServerDownError,
    ServerRefusedError,
    TenantUnavailableError,
)
from tenants.routing.backend.base import DatabaseWrapper
from tenants.routing.connections import CONNECT_TIMEOUT_S

# The libpq that psycopg2 itself uses, whichever that is. https://www.psycopg.org/docs/connection.html, `pgconn_ptr`.
_set_verbosity = ctypes.PyDLL(_psycopg.__file__).PQsetErrorVerbosity
_set_verbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
PQERRORS_SQLSTATE = 3

SEVERITY_AND_SQLSTATE = re.compile(r"^\S+\s+([0-9A-Z]{5})$")


def why_refused(database: Database, connection: DatabaseWrapper, error: BaseException) -> TenantUnavailableError | None:
    """What is behind ``error``, where it is a failed connect: asks the server once more.

    None where it is something else, or where the server gives a session by now.
    """
    if connection.connection is not None or not isinstance(error, OperationalError):
        return None
    parameters = connection.get_connection_params()
    refused, sqlstate = refusal_of(parameters)
    if not refused:
        return None
    if sqlstate == errorcodes.INVALID_CATALOG_NAME:
        where = f"{database.slug}: {database.alias} is not on {database.server}"
        return DatabaseMissingError(where, alias=database.alias)
    if sqlstate == errorcodes.OBJECT_NOT_IN_PREREQUISITE_STATE:
        return DatabaseClosedError(f"{database.slug}: {database.alias}", alias=database.alias)
    facts = {"server": database.server.name, "sqlstate": sqlstate}
    detail = f"{database.server}: {str(error).strip()}"
    if sqlstate == errorcodes.TOO_MANY_CONNECTIONS:
        # A limit of the server or of the platform's role holds for every database, one of this database does not.
        everywhere, _ = refusal_of({**parameters, "dbname": MAINTENANCE_DATABASE})
        return (ServerCrowdedError if everywhere else DatabaseCrowdedError)(detail, **facts)
    # 57P03: it is starting, recovering or shutting down.
    if sqlstate in {None, errorcodes.CANNOT_CONNECT_NOW}:
        return ServerDownError(detail, **facts)
    return ServerRefusedError(detail, **facts)


def refusal_of(parameters: dict[str, Any]) -> tuple[bool, str | None]:
    """Whether no session is to be had, and the server's SQLSTATE; None where nobody answers within the timeout."""
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    try:
        session = psycopg2.connect(**parameters, async_=True)
        _set_verbosity(session.pgconn_ptr, PQERRORS_SQLSTATE)
        while (state := session.poll()) != extensions.POLL_OK:
            socket = [session.fileno()]
            ready = select.select(
                socket if state == extensions.POLL_READ else [],
                socket if state == extensions.POLL_WRITE else [],
                [],
                max(0.0, deadline - time.monotonic()),
            )
            if not any(ready):
                session.close()
                return True, None
        session.close()
    except psycopg2.Error as refusal:
        found = SEVERITY_AND_SQLSTATE.match(str(refusal).strip())
        return True, found and found[1]
    return False, None
