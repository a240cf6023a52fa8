"""Which models are guarded, how a guard is put around a part of Django, and what it raises."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db.models import Model

from tenants.context import current_alias
from tenants.errors import WrongTenantError
from tenants.tenant_apps import lives_in_main, lives_in_tenants

guarded: set[type[Model]] = set()
"""Those whose rows are guarded."""

only_in_tenants: set[type[Model]] = set()
"""Those whose queries are guarded as well."""


def guard_model(model: type[Model]) -> None:
    """Guard a model if it lives in tenant databases. Harmless when it is guarded already."""
    if not lives_in_tenants(model):
        return
    if not lives_in_main(model):
        only_in_tenants.add(model)
    if model not in guarded:
        guarded.add(model)
        wrap(model, "__eq__", _compared_within_a_tenant)


def wrap(owner: Any, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a class's method, or a module's function, by what ``wrapper`` makes of it."""
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(wrapper(original)))


def refuse_other(origin: str | None, here: str | None, what: str) -> None:
    """Raise ``WrongTenantError`` if both are known and differ."""
    if origin is not None and here is not None and origin != here:
        raise WrongTenantError(f"{what} {origin}, in {here}")


def refuse_foreign_row(value: Any) -> None:
    """Raise ``WrongTenantError`` if ``value`` is a row of another tenant than the current one."""
    if isinstance(value, Model) and value.__class__ in guarded:
        refuse_other(value._state.db, current_alias(), f"a {value.__class__.__name__} of")


def refuse_row_not_of(alias: str | None, row: Any, what: str) -> None:
    """Raise ``WrongTenantError`` if ``row`` is of another database than ``alias``."""
    if row.__class__ in guarded:
        refuse_other(row._state.db, alias, f"{what} a {row.__class__.__name__} of")


def _compared_within_a_tenant(original: Callable[[Any, object], Any]) -> Callable[[Any, object], Any]:
    def __eq__(self: Any, other: object) -> Any:
        if isinstance(other, Model):
            refuse_row_not_of(self._state.db, other, f"comparing a {self.__class__.__name__} with")
        return original(self, other)

    return __eq__
