"""A query is run, and its rows are given out, under the tenant where it was built only.

The tenant stands on ``sql.Query``, which every clone, subquery and combination carries on; it is looked at where a
query is compiled for a database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from django.db.models import QuerySet
from django.db.models.query import RawQuerySet
from django.db.models.sql import Query

from tenants import naming
from tenants.context import current_alias, current_entry
from tenants.routing.guards.seam import only_in_tenants, refuse_other, wrap


def install() -> None:
    wrap(QuerySet, "__init__", _remembering_its_tenant)
    wrap(QuerySet, "create", _at_its_tenant)
    wrap(QuerySet, "bulk_create", _at_its_tenant)
    wrap(Query, "get_compiler", _compiled_for_its_tenant)
    wrap(Query, "combine", _combined_within_a_tenant)
    wrap(QuerySet, "aiterator", _awaited_under_one_tenant)
    for rows in (QuerySet, RawQuerySet):
        wrap(rows, "__iter__", _given_under_one_tenant)
        wrap(rows, "__aiter__", _awaited_under_one_tenant)
        wrap(rows, "iterator", _given_under_one_tenant)
        setattr(rows, "_result_cache", _RowsOfOneTenant())  # noqa: B010 - an instance attribute, by its stubs


class _RowsOfOneTenant:
    """``QuerySet._result_cache``: what was fetched under one tenant is not given out under another.

    A queryset that is built under no tenant, such as a class attribute of a view, would else be filled under the first
    tenant that evaluates it, and show its rows to the next. Iteration, ``len``, ``count``, ``exists`` and indexing all
    read the cache here.
    """

    def __get__(self, queryset: Any, owner: type | None = None) -> Any:
        if queryset is None:
            return self
        held = queryset.__dict__
        rows = held.get("_result_cache")
        if rows is not None and (filled_under := held.get("_filled_under")) is not None:
            refuse_other(filled_under, current_alias(), "rows fetched under")
        return rows

    def __set__(self, queryset: Any, rows: Any) -> None:
        held = queryset.__dict__
        held["_result_cache"] = rows
        if rows is not None:
            held["_filled_under"] = current_alias() if queryset.model in only_in_tenants else None


def _remembering_its_tenant(original: Callable[..., None]) -> Callable[..., None]:
    # Django's own arguments, by name: each query makes several, and to pass on any arguments takes longer.
    def __init__(self: Any, model: Any = None, query: Any = None, using: Any = None, hints: Any = None) -> None:
        original(self, model, query, using, hints)
        # One built under no tenant is bound where it is next cloned, or, if never, by the rows it fetches.
        if self.model in only_in_tenants and getattr(self._query, "built_under", None) is None:
            self._query.built_under = current_alias()

    return __init__


def _at_its_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    """What is called on a queryset and runs no query of it."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_other(getattr(self._query, "built_under", None), current_alias(), "a query built under")
        return original(self, *args, **kwargs)

    return method


def _compiled_for_its_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_compiler(self: Any, using: str | None = None, connection: Any = None, *args: Any, **kwargs: Any) -> Any:
        built_under = getattr(self, "built_under", None)
        if built_under is not None:
            alias = using or (connection.alias if connection is not None else None)
            # To print a query, Django compiles it for main.
            if alias is not None and alias != built_under and naming.is_tenant_alias(alias):
                refuse_other(built_under, alias, "a query built under")
        return original(self, using, connection, *args, **kwargs)

    return get_compiler


def _combined_within_a_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def combine(self: Any, rhs: Any, connector: str) -> Any:
        refuse_other(getattr(self, "built_under", None), getattr(rhs, "built_under", None), "a query built under")
        return original(self, rhs, connector)

    return combine


def _given_under_one_tenant(original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """An iterator has rows in memory that nothing else guards, and may be kept in a generator for long."""

    def iterate(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        rows = original(self, *args, **kwargs)
        return _under_one_tenant(rows) if self.model in only_in_tenants else rows

    return iterate


def _under_one_tenant(rows: Iterator[Any]) -> Iterator[Any]:
    begun_in, begun_under = current_entry(), current_alias()
    for row in rows:
        yield row
        # For each row no more than this: where nothing was entered or left, the tenant is the same.
        if current_entry() is not begun_in:
            refuse_other(begun_under, current_alias(), "rows fetched under")


def _awaited_under_one_tenant(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    async def iterate(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        begun_under = current_alias() if self.model in only_in_tenants else None
        async for row in original(self, *args, **kwargs):
            yield row
            refuse_other(begun_under, current_alias(), "rows fetched under")

    return iterate
