"""A statement that is sent now and whose outcome is asked for later, which psycopg2 has for asynchronous sessions only.

It is the libpq that psycopg2 itself uses: https://www.psycopg.org/docs/connection.html, `pgconn_ptr`;
https://www.postgresql.org/docs/current/libpq-async.html.
"""

from __future__ import annotations

import ctypes
from typing import Any

from psycopg2 import _psycopg

_quick, _waiting = ctypes.PyDLL(_psycopg.__file__), ctypes.CDLL(_psycopg.__file__)
"""What waits for nothing keeps Python's lock: to get it back takes longer. What may wait gives it up."""

_send_query = _quick.PQsendQuery
_send_query.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_get_result = _waiting.PQgetResult
_get_result.argtypes, _get_result.restype = [ctypes.c_void_p], ctypes.c_void_p
_result_status = _quick.PQresultStatus
_result_status.argtypes = [ctypes.c_void_p]
_clear = _quick.PQclear
_clear.argtypes, _clear.restype = [ctypes.c_void_p], None

PGRES_COMMAND_OK = 1


def send(connection: Any, statement: bytes) -> bool:
    """Send a statement that gives no rows, on a connection of psycopg2's that nobody else uses. Whether it went out."""
    return bool(_send_query(connection.pgconn_ptr, statement))


def has_succeeded(connection: Any) -> bool:
    """Whether what was sent last has succeeded; waits for that. From then on psycopg2 may use the connection again."""
    outcomes = []
    while result := _get_result(connection.pgconn_ptr):
        outcomes.append(_result_status(result))
        _clear(result)
    return outcomes == [PGRES_COMMAND_OK]
