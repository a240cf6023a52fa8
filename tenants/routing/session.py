"""A session with a tenant's database, which outlives the Django connections that use it in turn."""

from __future__ import annotations

import logging
import os
import select
import weakref
from typing import Any

import psycopg2
from psycopg2 import extensions

from tenants.routing import libpq

logger = logging.getLogger(__name__)

PROBE_AFTER_S = 15.0
"""A session that was idle for longer is asked whether it lives. A firewall may have dropped it without a word."""

END_WAIT_MS = 2000
"""How long to wait for the server's process to end, at most."""

LEFT_OPEN = frozenset({extensions.TRANSACTION_STATUS_INTRANS, extensions.TRANSACTION_STATUS_INERROR})

UNDO = b"DISCARD ALL"


class Session:
    """One connection of psycopg2's to the database ``alias``, opened with ``params``.

    It belongs to the process that opened it: a child that inherits it may neither use nor close it, since both would
    write to one socket.
    """

    def __init__(self, alias: str, params: dict[str, Any], connection: Any) -> None:
        self.alias = alias
        self.params = params
        self.connection = connection
        self.cursors: weakref.WeakSet[Any] = weakref.WeakSet()
        """Those that were made since it was taken. They must not reach into what the next one does with it."""
        self.holders: set[Session] = set()
        """What the thread that took this one holds, this one included."""
        self.is_condemned = False
        """Not to be used again after it is given back: its tenant was suspended, moved, or has another password."""
        self.idle_since = 0.0
        self._as_opened = _client_side(connection)
        self._poller = _poller(connection.fileno())
        self._process = os.getpid()

    def is_alive(self, idle_s: float) -> bool:
        """Whether it can be used again after ``idle_s`` seconds in the pool.

        Not if its reset failed. A server that ends a session says so: an idle session with something to read is over.
        That costs no round trip.
        """
        if self.connection.closed or not libpq.has_succeeded(self.connection):
            return False
        if _has_something_to_read(self._poller):
            return False
        if idle_s < PROBE_AFTER_S:
            return True
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            return False
        return True

    def reset(self) -> bool:
        """Undo what was done to it, so that nothing passes to the next one; whether it may be used again.

        One that is inside a transaction may not: closing it rolls that back. Nor one whose client side was changed,
        which no statement undoes.

        The server is told and not waited for. It does this before it takes anything from the next one, who asks first
        whether it went well (``is_alive``).
        """
        if self._process != os.getpid():
            return False
        if self.connection.closed or self.connection.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            return False
        try:
            if self.cursors:
                for cursor in list(self.cursors):
                    cursor.close()
                self.cursors.clear()
            self.connection.autocommit = True
            if _client_side(self.connection) != self._as_opened:
                return False
        except psycopg2.Error as error:
            logger.info("A session with %s could not be reset, and is closed: %s", self.alias, error)
            return False
        self.connection.notices.clear()
        return libpq.send(self.connection, UNDO)

    def close(self) -> None:
        """End it, and wait until the server counts it no more: whoever made room by it may open another at once."""
        if self._process != os.getpid():
            return
        if self.connection.get_transaction_status() in LEFT_OPEN:
            logger.warning("A transaction was left open in %s; it is rolled back", self.alias)
        try:
            watched = os.dup(self.connection.fileno())
        except psycopg2.Error:  # lost or closed already
            self.connection.close()
            return
        try:
            self.connection.close()
            _wait_for_end(watched)
        finally:
            os.close(watched)


def _client_side(connection: Any) -> tuple[Any, ...]:
    """What psycopg2 keeps of a session on this side, out of reach of DISCARD ALL."""
    return connection.isolation_level, connection.readonly, connection.deferrable, connection.encoding


def _has_something_to_read(poller: select.poll) -> bool:
    return bool(poller.poll(0))


def _wait_for_end(descriptor: int) -> None:
    """The server's process closes its end when it has left ``pg_stat_activity``."""
    poller = _poller(descriptor)
    try:
        while poller.poll(END_WAIT_MS) and os.read(descriptor, 4096):
            pass
    except ConnectionError:
        pass


def _poller(descriptor: int) -> select.poll:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return poller
