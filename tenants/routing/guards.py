"""The documented seam in Django for tenant-app models, ours and third-party ones alike.

Django keeps no trace of the tenant under which a query was built or rows were fetched, takes a row of another tenant
for its bare key, and calls rows of two tenants with the same key equal. ``install()`` gives each model that lives in
tenant databases only:

- queries that remember under which tenant they were built. It stands on ``sql.Query``, which every clone, subquery and
  combination carries on, and is looked at where a query is compiled for a database;
- fetched rows that are given out under the same tenant only;
- ``==`` that raises ``WrongTenantError`` between rows of two tenants;
- look-ups, updates, ``bulk_create``, ``bulk_update``, and the signals before save, delete and many-to-many changes,
  that refuse rows of another tenant, even where ``using=`` names a database.

Of a model that lives in both (see ``tenant_apps``) rows are guarded and queries are not: they may mean main.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet
from django.db.models.query import RawQuerySet
from django.db.models.signals import m2m_changed, pre_delete, pre_save
from django.db.models.sql import Query

from tenants import naming
from tenants.context import current_alias
from tenants.errors import WrongTenantError
from tenants.tenant_apps import lives_in_main, lives_in_tenants

_guarded: set[type[Model]] = set()
_only_in_tenants: set[type[Model]] = set()


def install() -> None:
    """Guard the models of all tenant apps. Called once, when the apps are ready."""
    for model in apps.get_models(include_auto_created=True):
        # Assigning to Django's methods is what this module is for, hence the ignores.
        if lives_in_tenants(model):
            _guarded.add(model)
            model.__eq__ = _compared_within_a_tenant(model.__eq__)  # type: ignore[method-assign]
            if not lives_in_main(model):
                _only_in_tenants.add(model)
    if getattr(QuerySet, "_silo_guarded", False):
        return
    QuerySet._silo_guarded = True  # type: ignore[attr-defined]
    _wrap(QuerySet, "__init__", _remembering_its_tenant)
    _wrap(Query, "get_compiler", _compiled_for_its_tenant)
    _wrap(Query, "combine", _combined_within_a_tenant)
    for rows in (QuerySet, RawQuerySet):
        setattr(rows, "_result_cache", _RowsOfOneTenant())  # noqa: B010 - an instance attribute, by its stubs
    _wrap(Query, "check_query_object_type", _given_a_row_of_the_tenant)
    _wrap(QuerySet, "contains", _given_a_row_of_the_tenant)
    _wrap(Model, "prepare_database_save", _written_as_a_key_in_its_tenant)
    _wrap(QuerySet, "bulk_create", _of_one_tenant)
    _wrap(QuerySet, "bulk_update", _of_one_tenant)
    pre_save.connect(_refuse_written_elsewhere, dispatch_uid="tenants.guards.save")
    pre_delete.connect(_refuse_written_elsewhere, dispatch_uid="tenants.guards.delete")
    m2m_changed.connect(_refuse_written_elsewhere, dispatch_uid="tenants.guards.m2m")


class _RowsOfOneTenant:
    """``QuerySet._result_cache``: what was fetched under one tenant is not given out under another.

    A queryset that is built under no tenant, such as a class attribute of a view, would else be filled under the first
    tenant that evaluates it, and show its rows to the next. Iteration, ``len``, ``count``, ``exists`` and indexing all
    read the cache here.
    """

    def __get__(self, queryset: Any, owner: type | None = None) -> Any:
        if queryset is None:
            return self
        held = vars(queryset)
        rows = held.get("_result_cache")
        if rows is not None:
            _refuse_other(held.get("_filled_under"), current_alias(), "rows fetched under")
        return rows

    def __set__(self, queryset: Any, rows: Any) -> None:
        held = vars(queryset)
        held["_result_cache"] = rows
        held["_filled_under"] = current_alias() if rows is not None and queryset.model in _only_in_tenants else None


def _wrap(owner: type, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(wrapper(original)))


def _remembering_its_tenant(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        # One built under no tenant is bound where it is next cloned, or, if never, by the rows it fetches.
        if self.model in _only_in_tenants and getattr(self._query, "built_under", None) is None:
            self._query.built_under = current_alias()

    return __init__


def _compiled_for_its_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_compiler(self: Any, using: str | None = None, connection: Any = None, *args: Any, **kwargs: Any) -> Any:
        alias = using or (connection.alias if connection is not None else None)
        if alias is not None and naming.is_tenant_alias(alias):
            _refuse_other(getattr(self, "built_under", None), alias, "a query built under")
        return original(self, using, connection, *args, **kwargs)

    return get_compiler


def _combined_within_a_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def combine(self: Any, rhs: Any, connector: str) -> Any:
        _refuse_other(getattr(self, "built_under", None), getattr(rhs, "built_under", None), "a query built under")
        return original(self, rhs, connector)

    return combine


def _given_a_row_of_the_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def given(self: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_foreign_row(value)
        return original(self, value, *args, **kwargs)

    return given


def _written_as_a_key_in_its_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def prepare_database_save(self: Any, field: Any) -> Any:
        _refuse_foreign_row(self)
        return original(self, field)

    return prepare_database_save


def _compared_within_a_tenant(original: Callable[[Any, object], Any]) -> Callable[[Any, object], Any]:
    if getattr(original, "_silo_guarded", False):
        return original

    @wraps(original)
    def __eq__(self: Any, other: object) -> Any:
        if isinstance(other, Model) and other.__class__ in _guarded:
            _refuse_other(self._state.db, other._state.db, f"comparing a {self.__class__.__name__} of")
        return original(self, other)

    __eq__._silo_guarded = True  # type: ignore[attr-defined]
    return __eq__


def _of_one_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def bulk(self: Any, objs: Iterable[Model], *args: Any, **kwargs: Any) -> Any:
        if self.model in _guarded:
            objs = list(objs)
            self._for_write = True
            for row in objs:
                _refuse_written_elsewhere(sender=self.model, instance=row, using=self.db)
        return original(self, objs, *args, **kwargs)

    return bulk


def _refuse_foreign_row(value: Any) -> None:
    if isinstance(value, Model) and value.__class__ in _guarded:
        _refuse_other(value._state.db, current_alias(), f"a {value.__class__.__name__} of")


def _refuse_written_elsewhere(sender: type[Model], instance: Any, using: str, **_: Any) -> None:
    if sender in _guarded or instance.__class__ in _guarded:
        _refuse_other(
            getattr(instance, "_state", None) and instance._state.db, using, f"writing a {sender.__name__} of"
        )


def _refuse_other(origin: str | None, here: str | None, what: str) -> None:
    if origin is not None and here is not None and origin != here:
        raise WrongTenantError(f"{what} {origin}, in {here}")
