"""Which tenant is current: the one way in.

``with use_tenant(tenant):`` makes a tenant current in this thread or async task, and nothing else does. It is left in
every case, an exception included. A thread started inside starts with no tenant: it must say whose work it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from django.db import transaction

from tenants.errors import NoTenantError

if TYPE_CHECKING:
    from types import TracebackType

    from django.db.transaction import Atomic

    from tenants.models import Tenant


class Reachable(Protocol):
    """What can be current: a tenant, or a template while it is being made."""

    @property
    def alias(self) -> str: ...

    @property
    def slug(self) -> str: ...


class Directory(Protocol):
    """Finds tenants and keeps their connections. The routing room installs it, since context may not import routing."""

    def find(self, slug: str) -> Tenant: ...

    def enter(self, tenant: Tenant) -> None: ...

    def leave(self, alias: str) -> None: ...


_current: ContextVar[Reachable | None] = ContextVar("silo_current_tenant", default=None)
_directory: Directory | None = None


def install_directory(directory: Directory) -> None:
    global _directory
    _directory = directory


class use_tenant:
    """Make a tenant current: ``with use_tenant("acme"):`` or ``async with use_tenant(tenant):``.

    Takes a ``Tenant`` or its slug; gives the ``Tenant``. May be nested; on leaving, the one before is current again and
    this thread's connection is given back unless it is inside ``atomic``.

    Raises ``UnknownTenantError`` for a slug that no tenant has, and ``TenantUnavailableError`` for a tenant that is
    not active.
    """

    def __init__(self, tenant_or_slug: Tenant | str) -> None:
        self._asked = tenant_or_slug
        self._scope: Any = None

    def __enter__(self) -> Tenant:
        directory = _required_directory()
        tenant = directory.find(self._asked) if isinstance(self._asked, str) else self._asked
        tenant.require_active()
        directory.enter(tenant)
        self._scope = acting_on(tenant)
        self._scope.__enter__()
        return tenant

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope, self._scope = self._scope, None
        scope.__exit__(kind, error, trace)

    async def __aenter__(self) -> Tenant:
        # The look-up runs its query in a thread of its own when it is called from async code (see routing.registry).
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


@contextmanager
def acting_on(database: Reachable) -> Iterator[None]:
    """Make a database current whatever its state. For rollouts and maintenance; all others take ``use_tenant``."""
    before = _current.get()
    token = _current.set(database)
    try:
        yield
    finally:
        _current.reset(token)
        if before is None or before.alias != database.alias:
            _required_directory().leave(database.alias)


@contextmanager
def use_main() -> Iterator[None]:
    """Work on the main database only: no tenant is current inside, and apps that live in both mean main's tables."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def current_tenant() -> Tenant | None:
    """The current tenant, or None. (While a template is migrated, that stand-in is current.)"""
    return _current.get()  # type: ignore[return-value]


def current_alias() -> str | None:
    """The alias of the current tenant, or None."""
    current = _current.get()
    return current.alias if current is not None else None


def required_alias() -> str:
    """The alias of the current tenant; raises ``NoTenantError`` where there is none."""
    alias = current_alias()
    if alias is None:
        raise NoTenantError
    return alias


def tenant_atomic(*, savepoint: bool = True, durable: bool = False) -> Atomic:
    """``transaction.atomic()`` on the current tenant's database; a bare ``atomic()`` means main's."""
    return transaction.atomic(using=required_alias(), savepoint=savepoint, durable=durable)


def tenant_on_commit(callback: Callable[[], object]) -> None:
    """``transaction.on_commit()`` on the current tenant's database."""
    transaction.on_commit(callback, using=required_alias())


def _required_directory() -> Directory:
    if _directory is None:
        raise RuntimeError("tenants.apps.TenantsConfig.ready() has not run: call django.setup() first")
    return _directory
