"""A connection to one tenant's database, which refuses to speak while another tenant is current."""

from __future__ import annotations

import logging
import os
import weakref
from functools import partial
from typing import Any

import psycopg2
from django.db import connections
from django.db.backends.postgresql import base as postgresql
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED

from tenants import naming
from tenants.context import Scope, current_alias, entered_scopes
from tenants.errors import ForeignDatabaseError, WrongTenantError
from tenants.routing.backend.cursor import CursorDebugWrapper, CursorWrapper
from tenants.routing.connections import close_here, databases
from tenants.routing.credentials import pending_password
from tenants.routing.pool import process_pool
from tenants.routing.registry import directory
from tenants.routing.session import Session

logger = logging.getLogger(__name__)

_STAMP = "SELECT value FROM silo.facts WHERE name = 'tenant'"


class DatabaseWrapper(postgresql.DatabaseWrapper):
    """Every statement takes a cursor from here: the last place that can see a query go to the wrong tenant.

    Its session with PostgreSQL comes from the process's pool and goes back there. A session of the owner
    (``is_pooled=False``) is the connection's own: it has limits and locks that are for one piece of work.
    """

    def __init__(self, settings_dict: dict[str, Any], alias: str, *, is_pooled: bool = True) -> None:
        super().__init__(settings_dict, alias)
        databases().open_here().add(alias)
        self.sessions_opened = 0
        """Leaving ``atomic`` over a lost session opens a new one at once; only this count tells."""
        self._is_pooled = is_pooled and naming.is_tenant_alias(alias)
        self._held: list[Session] = []
        """The session that it has, if it has one. Given back where this object is dropped with it, as ``del
        connections[alias]`` does."""
        if self._is_pooled:
            weakref.finalize(self, _abandon, self._held).atexit = False  # type: ignore[misc]
        self._around: tuple[Scope, ...] = ()
        """All scopes around the code that used it last."""
        self._scopes: set[Scope] = set()
        """Those of its own tenant in which it was used."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self.sessions_opened += 1
        if not self._is_pooled:
            return super().get_new_connection(conn_params)
        if len(databases().open_here()) > 1:
            _close_strays()
        # Django sets it where it connects, which it does not where a session is used again.
        self.isolation_level = ISOLATION_LEVEL_READ_COMMITTED
        session = self._take_session(conn_params)
        self._held.append(session)
        return session.connection

    def create_cursor(self, name: str | None = None) -> Any:
        cursor = super().create_cursor(name)
        for session in self._held:
            session.cursors.add(cursor)
        return cursor

    @property
    def is_in_use(self) -> bool:
        """Whether a scope in which it was used goes on. Tasks that share a thread share its connections."""
        self._scopes = {scope for scope in self._scopes if not scope.is_over}
        return bool(self._scopes)

    @property
    def is_stray(self) -> bool:
        """Whether all scopes in which it was used are over: they were entered elsewhere, and so did not close it here.

        ``asyncio.to_thread`` hands its context to a thread, which works on in the scope of another.
        """
        return bool(self._scopes) and not self.is_in_use

    @property
    def is_as_made(self) -> bool:
        """Whether nothing was done to it that connecting again does not undo."""
        return self._is_pooled and not (
            self.execute_wrappers or self.queries_log or self.force_debug_cursor or self.allow_thread_sharing
        )

    def forget(self) -> None:
        """Let go of a session that a child process inherited. What was in ``atomic`` cannot go on, and raises."""
        self._detached_session()
        self.connection = None
        self.closed_in_transaction = self.needs_rollback = self.in_atomic_block

    def _take_session(self, params: dict[str, Any]) -> Session:
        """One opened with ``params``; where that is refused, with what main says now.

        The race: the tenant's password is being rotated, or it has moved, and this process has not heard of it yet.
        """
        tried = []
        while True:
            try:
                return process_pool().take(self.alias, params, partial(self._connect_as_tenant, params))
            except psycopg2.OperationalError:
                tried.append(params)
                untried = [others for others in self._params_in_main() if others not in tried]
                if not untried:
                    raise
                params = untried[0]

    def _params_in_main(self) -> list[dict[str, Any]]:
        tenant = directory.find_by_alias(self.alias)
        if tenant is None:
            return []
        databases().remember(tenant)
        known = self.get_connection_params()
        pending = pending_password(tenant)
        return [known] if pending is None else [known, known | {"password": pending}]

    def _connect_as_tenant(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        try:
            _require_own(connection, self.alias)
        except BaseException:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        session = self._detached_session()
        if session is None:
            return super()._close()  # type: ignore[misc]
        self.connection = None
        with self.wrap_database_errors:
            process_pool().give(session)

    def _detached_session(self) -> Session | None:
        """What it holds, which is somebody else's business from here on."""
        return self._held.pop() if self._held else None

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        return CursorWrapper(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> CursorDebugWrapper:
        return CursorDebugWrapper(cursor, self)

    def _cursor(self, name: str | None = None) -> Any:
        self.require_current()
        if self._around is not (around := entered_scopes()):
            self._around = around
            self._scopes.update(scope for scope in around if scope.alias == self.alias)
        return super()._cursor(name)  # type: ignore[misc]

    def require_current(self) -> None:
        """Raise ``WrongTenantError`` while another tenant is current."""
        current = current_alias()
        if current is not None and current != self.alias:
            raise WrongTenantError(f"a query for {self.alias} while {current} is current")


def _require_own(connection: Any, alias: str) -> None:
    """Raise ``ForeignDatabaseError`` unless the database says that it is this tenant's.

    A dump restored into the wrong place, or two databases whose names were swapped, would else be served.
    """
    connection.autocommit = True
    with connection.cursor() as cursor:
        try:
            cursor.execute(_STAMP)
            stamp = (cursor.fetchone() or [None])[0]
        except (psycopg2.errors.UndefinedTable, psycopg2.errors.InsufficientPrivilege):
            stamp = None
    if stamp != str(naming.tenant_id_of(alias)):
        logger.error("The database %s says that it is of the tenant %s; it is not served", alias, stamp)
        raise ForeignDatabaseError(f"{alias} says that it is of the tenant {stamp}", alias=alias, stamp=stamp)


def _abandon(held: list[Session]) -> None:
    for session in held:
        process_pool().abandon(session)


def _close_strays() -> None:
    """A thread keeps one at most, or a few threads that serve all tenants in turn would keep the whole pool."""
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper) and connection.is_stray:
            close_here(connection.alias)


def _forget_in_child() -> None:
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.forget()


os.register_at_fork(after_in_child=_forget_in_child)
