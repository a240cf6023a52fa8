"""A row of another tenant is refused wherever Django would take it for its bare key, or write it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.deletion import Collector
from django.db.models.signals import pre_save
from django.db.models.sql import Query
from django.forms import ModelChoiceField

from tenants.routing.guards.seam import guarded, refuse_foreign_row, refuse_row_not_of, wrap


def install() -> None:
    pre_save.connect(_refuse_saved_elsewhere, dispatch_uid="tenants.guards.save")
    # Not the signal before a deletion: for its receivers' sake, Django fetches all rows that it could delete at once.
    wrap(Collector, "collect", _deleted_in_its_tenant)
    wrap(QuerySet, "bulk_create", _written_in_its_tenant)
    wrap(QuerySet, "bulk_update", _written_in_its_tenant)
    wrap(Model, "refresh_from_db", _refreshed_in_its_tenant)
    wrap(Model, "prepare_database_save", _of_the_tenant)
    wrap(Model, "validate_unique", _of_the_tenant)
    wrap(Query, "check_query_object_type", _given_a_row_of_the_tenant)
    wrap(QuerySet, "contains", _given_a_row_of_the_tenant)
    wrap(ModelChoiceField, "to_python", _given_a_row_of_the_tenant)
    wrap(ModelChoiceField, "prepare_value", _given_a_row_of_the_tenant)


def _refuse_saved_elsewhere(sender: type[Model], instance: Any, using: str, **_: Any) -> None:
    refuse_row_not_of(using, instance, "saving")


def _deleted_in_its_tenant(original: Callable[..., None]) -> Callable[..., None]:
    def collect(self: Any, objs: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(objs, QuerySet):  # which is of the tenant, or is not compiled
            for row in objs:
                refuse_row_not_of(self.using, row, "deleting")
        original(self, objs, *args, **kwargs)

    return collect


def _written_in_its_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def bulk(self: Any, objs: Iterable[Model], *args: Any, **kwargs: Any) -> Any:
        if self.model in guarded:
            objs = list(objs)
            self._for_write = True
            for row in objs:
                refuse_row_not_of(self.db, row, "writing")
        return original(self, objs, *args, **kwargs)

    return bulk


def _refreshed_in_its_tenant(original: Callable[..., None]) -> Callable[..., None]:
    def refresh_from_db(self: Any, using: str | None = None, *args: Any, **kwargs: Any) -> None:
        refuse_foreign_row(self)
        refuse_row_not_of(using, self, "refreshing")
        original(self, using, *args, **kwargs)

    return refresh_from_db


def _of_the_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_foreign_row(self)
        return original(self, *args, **kwargs)

    return method


def _given_a_row_of_the_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def given(self: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_foreign_row(value)
        return original(self, value, *args, **kwargs)

    return given
