"""Related managers and prefetching, which take rows for their keys with no look at where they are from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Model, query
from django.db.models.fields import related_descriptors

from tenants.context import current_alias
from tenants.routing.guards.seam import guarded, refuse_foreign_row, refuse_other, wrap


def install() -> None:
    from django.contrib.contenttypes import fields as generic  # has models, so not before the apps are ready

    wrap(related_descriptors, "create_reverse_many_to_one_manager", _with_guarded_methods)
    wrap(related_descriptors, "create_forward_many_to_many_manager", _with_guarded_methods)
    wrap(generic, "create_generic_related_manager", _with_guarded_methods)
    wrap(query, "prefetch_one_level", _prefetched_within_a_tenant)


def _with_guarded_methods(create: Callable[..., type]) -> Callable[..., type]:
    """Django makes the managers' classes in functions."""

    def create_manager(*args: Any, **kwargs: Any) -> type:
        manager = create(*args, **kwargs)
        for name, guard in (("add", _given_rows), ("remove", _given_rows), ("set", _given_a_list_of_rows)):
            if hasattr(manager, name):  # there is no `remove` where the key may not be null
                wrap(manager, name, guard)
        return manager

    return create_manager


def _given_rows(original: Callable[..., None]) -> Callable[..., None]:
    def method(self: Any, *rows: Any, **kwargs: Any) -> None:
        for row in rows:
            refuse_foreign_row(row)
        original(self, *rows, **kwargs)

    return method


def _given_a_list_of_rows(original: Callable[..., None]) -> Callable[..., None]:
    def method(self: Any, objs: Iterable[Any], **kwargs: Any) -> None:
        rows = tuple(objs)
        for row in rows:
            refuse_foreign_row(row)
        original(self, rows, **kwargs)

    return method


def _prefetched_within_a_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    def prefetch_one_level(instances: list[Model], *args: Any) -> Any:
        origins = {row._state.db for row in instances if row.__class__ in guarded}
        here = current_alias() or next(iter(origins), None)
        for origin in origins:
            refuse_other(origin, here, "prefetching for rows of")
        return original(instances, *args)

    return prefetch_one_level
