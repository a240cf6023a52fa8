"""A bare ``transaction.atomic()`` or ``on_commit()`` means main, which is not what anyone means inside a tenant.

What is written to the tenant there is committed at once, and stays when the block is rolled back. Which blocks are
open stands on main's connection; a bare one is known by its ``using``, which is None.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from psycopg2.sql import Composable

from tenants.context import current_alias, tenant_atomic
from tenants.errors import BareTransactionError
from tenants.routing.guards.seam import wrap

logger = logging.getLogger(__name__)

_WRITE = re.compile(
    r"[\s(]*(?:(?:INSERT|UPDATE|DELETE|MERGE|TRUNCATE|COPY)\b|WITH\b.*\b(?:INSERT|UPDATE|DELETE)\b)", re.I | re.S
)


def watch_bare_calls() -> None:
    """Have bare calls known as such. Called before any app's models, which may import the functions by their names."""
    if not hasattr(transaction.on_commit, "__wrapped__"):
        wrap(transaction, "on_commit", _naming_its_database)
        wrap(transaction, "atomic", _bare_as_a_decorator)


def refuse_outside_its_transaction(connection: Any, sql: Any) -> None:
    """Complain of a write to a tenant that an open, bare ``atomic()`` will not take back."""
    if not _WRITE.match(_text_of(sql, connection)):
        return
    is_bare = any(block.using is None for block in connections[DEFAULT_DB_ALIAS].atomic_blocks)
    if is_bare and not any(isinstance(block, tenant_atomic) for block in connection.atomic_blocks):
        _complain(f"a write to {connection.alias} inside a bare `atomic()` is not part of it")


def _text_of(sql: Any, connection: Any) -> str:
    """What psycopg2 takes for a statement, as text."""
    if isinstance(sql, Composable):
        return sql.as_string(connection.connection)
    return sql.decode(errors="replace") if isinstance(sql, bytes) else sql


def _naming_its_database(original: Callable[..., None]) -> Callable[..., None]:
    def on_commit(func: Callable[[], object], using: str | None = None, robust: bool = False) -> None:
        alias = current_alias()
        if using is None and alias is not None:
            _complain(f"a bare `on_commit()` does not wait for {alias}")
        original(func, using, robust)

    return on_commit


def _bare_as_a_decorator(original: Callable[..., Any]) -> Callable[..., Any]:
    def atomic(using: Any = None, savepoint: bool = True, durable: bool = False) -> Any:
        if callable(using):  # `@transaction.atomic`, for which Django writes "default" itself
            return original(None, savepoint, durable)(using)
        return original(using, savepoint, durable)

    return atomic


def _complain(detail: str) -> None:
    if settings.TENANT_BARE_TRANSACTIONS == "raise":
        raise BareTransactionError(detail)
    logger.warning("%s", BareTransactionError(detail), stack_info=True)
