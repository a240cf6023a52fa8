"""The documented seam in Django for tenant-app models, ours and third-party ones alike.

Django keeps no trace of the tenant under which a queryset was built, and calls rows of two tenants with the same key
equal. ``install()`` gives each tenant-app model:

- querysets that remember under which tenant they were built; the router refuses to run them under another;
- ``==`` that raises ``WrongTenantError`` between rows of two tenants;
- ``bulk_create`` and ``bulk_update``, and the signals before save, delete and many-to-many changes, that refuse rows
  of another tenant, even where ``using=`` names a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet
from django.db.models.query import RawQuerySet
from django.db.models.signals import m2m_changed, pre_delete, pre_save

from tenants.context import current_alias
from tenants.errors import WrongTenantError
from tenants.tenant_apps import lives_in_main, lives_in_tenants

_guarded: set[type[Model]] = set()


def install() -> None:
    """Guard the models of all tenant apps. Called once, when the apps are ready."""
    for model in apps.get_models(include_auto_created=True):
        if lives_in_tenants(model):
            _guarded.add(model)
            model.__eq__ = _compared_within_a_tenant(model.__eq__)  # type: ignore[method-assign]
    if getattr(QuerySet, "_silo_guarded", False):
        return
    QuerySet._silo_guarded = True  # type: ignore[attr-defined]
    QuerySet.__init__ = _remembering_its_tenant(QuerySet.__init__)  # type: ignore[method-assign]
    RawQuerySet.__init__ = _remembering_its_tenant(RawQuerySet.__init__)  # type: ignore[method-assign]
    QuerySet.bulk_create = _of_one_tenant(QuerySet.bulk_create)  # type: ignore[method-assign]
    QuerySet.bulk_update = _of_one_tenant(QuerySet.bulk_update)  # type: ignore[method-assign]
    pre_save.connect(_refuse_foreign_row, dispatch_uid="tenants.guards.save")
    pre_delete.connect(_refuse_foreign_row, dispatch_uid="tenants.guards.delete")
    m2m_changed.connect(_refuse_foreign_row, dispatch_uid="tenants.guards.m2m")


def _remembering_its_tenant(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.model in _guarded and "built_under" not in self._hints and not lives_in_main(self.model):
            current = current_alias()
            # A queryset built under no tenant (a class attribute of a view) is bound where it is next cloned. The
            # hints are copied, since a clone shares them with what it was cloned from.
            if current is not None:
                self._hints = {**self._hints, "built_under": current}

    return __init__


def _compared_within_a_tenant(original: Callable[[Any, object], Any]) -> Callable[[Any, object], Any]:
    if getattr(original, "_silo_guarded", False):
        return original

    @wraps(original)
    def __eq__(self: Any, other: object) -> Any:
        if isinstance(other, Model) and other.__class__ in _guarded:
            ours, theirs = self._state.db, other._state.db
            if ours is not None and theirs is not None and ours != theirs:
                raise WrongTenantError(f"comparing a {self.__class__.__name__} of {ours} with one of {theirs}")
        return original(self, other)

    __eq__._silo_guarded = True  # type: ignore[attr-defined]
    return __eq__


def _of_one_tenant(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def bulk(self: Any, objs: Iterable[Model], *args: Any, **kwargs: Any) -> Any:
        if self.model in _guarded:
            objs = list(objs)
            self._for_write = True
            for row in objs:
                _refuse_foreign_row(sender=self.model, instance=row, using=self.db)
        return original(self, objs, *args, **kwargs)

    return bulk


def _refuse_foreign_row(sender: type[Model], instance: Any, using: str, **_: Any) -> None:
    if sender not in _guarded and instance.__class__ not in _guarded:
        return
    origin = getattr(instance, "_state", None) and instance._state.db
    if origin is not None and origin != using:
        raise WrongTenantError(f"a {instance.__class__.__name__} of {origin} written to {using}")
