"""Finds a request's token, the token's user and the user's place in the request's tenant, in one query written once.

Django's ORM takes 0.7 ms of processor to write this query and to read its row, a fifth of what answering with one
document takes; PostgreSQL needs a tenth of a millisecond for it. Every request to a tenant asks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db import connections

from accounts.models import Token, User
from tenants.models import UserTenantAssociation
from tenants.permissions import PLACE

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import Model

FOUND: tuple[type[Model], ...] = (Token, User, UserTenantAssociation)
_SQL = """
    SELECT {columns}
    FROM {Token}
    JOIN {User} ON {User}.id = {Token}.user_id
    LEFT JOIN {UserTenantAssociation}
        ON {UserTenantAssociation}.user_id = {User}.id AND {UserTenantAssociation}.tenant_id = %s
    WHERE {Token}.digest = %s
"""


def find(digest: str, tenant_id: UUID) -> Token | None:
    """The token with this digest, with its ``user`` and ``PLACE``, which is None where the user has none there."""
    with connections["default"].cursor() as cursor:
        cursor.execute(_sql(), [tenant_id, digest])
        row = cursor.fetchone()
    if row is None:
        return None
    values = iter(row)
    token, user, place = (_take(model, values) for model in FOUND)
    Token.user.field.set_cached_value(token, user)
    setattr(token, PLACE, place)
    return token


@cache
def _sql() -> str:
    tables = {model.__name__: f'"{model._meta.db_table}"' for model in FOUND}
    columns = [f'{tables[model.__name__]}."{field.column}"' for model in FOUND for field in model._meta.concrete_fields]
    return _SQL.format(columns=", ".join(columns), **tables)


@cache
def _names(model: type[Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


def _take(model: type[Model], values: Iterator[Any]) -> Any:
    """Take a model's columns from what is left of a row: its instance, or None where the join found none."""
    names = _names(model)
    own = list(islice(values, len(names)))
    return model.from_db("default", names, own) if own[names.index(model._meta.pk.attname)] is not None else None
