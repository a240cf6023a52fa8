"""Hears from main which tenants change, on a session and in a thread of its own.

Triggers in main (migration ``0003_tell_of_changes``) say it on a channel, and PostgreSQL delivers it when the change
is committed. PgBouncer in transaction mode does not: behind it, what is remembered of a tenant lives its time out.
"""

from __future__ import annotations

import json
import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
from django.db import connections

from tenants.routing.connections import CONNECT_TIMEOUT_S

logger = logging.getLogger(__name__)

CHANNEL = "silo_tenants"
PROBE_S = 10.0
"""How often main is asked whether it is still there, where it says nothing."""

RETRY_S = 2.0

OF_ITS_OWN = {"application_name": "silo news", "connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": 30_000}

Change = dict[str, Any]
"""Of a tenant: ``id``, ``slugs`` (the one before and the present one), and ``closes``, whether sessions with its
database are of no use any more. Empty: a server has changed, so any tenant may have."""


class News:
    """Calls ``heard`` for each change, ``begun`` when all are heard from here on, and ``lost`` when no longer."""

    def __init__(self, heard: Callable[[Change], None], begun: Callable[[], None], lost: Callable[[], None]) -> None:
        self._heard, self._begun, self._lost = heard, begun, lost
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def listen(self) -> None:
        """Begin to listen in the background. Harmless where that is done."""
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                self._wakes, self._waker = os.pipe()
                params = connections["default"].get_connection_params() | OF_ITS_OWN
                self._thread = threading.Thread(target=self._run, args=[params], name="silo news", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Hear no more; on return the session has ended."""
        with self._starting:
            if self._thread is not None:
                os.close(self._waker)
                self._thread.join()
                os.close(self._wakes)
                self._thread = None

    def _run(self, params: dict[str, Any]) -> None:
        while not self._is_stopped(0):
            try:
                with closing(psycopg2.connect(**params)) as session:
                    self._hear(session)
            except psycopg2.Error as error:
                logger.warning("No word of changes comes from main, so no look-up is remembered: %s", error)
            finally:
                self._lost()
            if self._is_stopped(RETRY_S):
                return

    def _hear(self, session: Any) -> None:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
            self._begun()
            while True:
                if self._is_stopped(PROBE_S, unless=session.fileno()):
                    return
                # Takes what has come, and fails where main has gone.
                cursor.execute("SELECT 1")
                while session.notifies:
                    self._heard(json.loads(session.notifies.pop(0).payload))

    def _is_stopped(self, wait_s: float, unless: int | None = None) -> bool:
        """Wait until somebody stops it, or until there is something to read from ``unless``."""
        poller = select.poll()
        for descriptor in filter(None, (self._wakes, unless)):
            poller.register(descriptor, select.POLLIN)
        return any(descriptor == self._wakes for descriptor, _ in poller.poll(wait_s * 1000))
