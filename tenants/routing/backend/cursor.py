"""Cursors that refuse to speak while another tenant than their connection's is current."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db.backends.utils import CursorDebugWrapper as LoggingCursor
from django.db.backends.utils import CursorWrapper as PlainCursor

from tenants.routing.guards.transactions import refuse_outside_its_transaction


class _OfOneTenant:
    """A cursor may be kept, and read or used again when another tenant is current."""

    db: Any
    cursor: Any

    def _execute_with_wrappers(self, sql: Any, params: Any, many: bool, executor: Callable[..., Any]) -> Any:
        self.db.require_current()
        refuse_outside_its_transaction(self.db, sql)
        return super()._execute_with_wrappers(sql, params, many, executor)  # type: ignore[misc]

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        self.db.require_current()
        return super().callproc(*args, **kwargs)  # type: ignore[misc]

    # What every query calls is spelled out: through `__getattr__` Django makes a new function of it each time.

    def fetchone(self) -> Any:
        self.db.require_current()
        with self.db.wrap_database_errors:
            return self.cursor.fetchone()

    def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
        self.db.require_current()
        with self.db.wrap_database_errors:
            return self.cursor.fetchmany(*args, **kwargs)

    def close(self) -> None:
        self.cursor.close()

    def __getattr__(self, name: str) -> Any:
        if name != "closed":
            self.db.require_current()
        return super().__getattr__(name)  # type: ignore[misc]

    def __iter__(self) -> Iterator[Any]:
        self.db.require_current()
        for row in super().__iter__():  # type: ignore[misc]
            yield row
            self.db.require_current()


class CursorWrapper(_OfOneTenant, PlainCursor):
    pass


class CursorDebugWrapper(_OfOneTenant, LoggingCursor):
    pass
