"""Which tenant is current: the one way in.

``with use_tenant(tenant):`` makes a tenant current in this thread or async task, and nothing else does. It is left in
every case, an exception included. A thread started inside starts with no tenant: it must say whose work it does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from asgiref.sync import sync_to_async
from django.db import transaction

from tenants.errors import NoTenantError, WrongTenantError

if TYPE_CHECKING:
    from types import TracebackType

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


class Scope:
    """One entry into a tenant. A task, or a thread that is handed a context, may go on in it when it is over."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.is_over = False


_current: ContextVar[tuple[Reachable, str] | None] = ContextVar("silo_current_tenant", default=None)
"""With its alias, which every query asks for several times and which takes a moment to spell."""
_entered: ContextVar[tuple[Scope, ...]] = ContextVar("silo_entered_tenants", default=())
"""All scopes around the code that runs, the innermost last."""
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

    In a generator the tenant is current only until the next ``yield`` gives control away: what runs there may enter
    another tenant, and if scopes are left in another order than they were entered, ``WrongTenantError`` is raised.
    """

    def __init__(self, tenant_or_slug: Tenant | str) -> None:
        self._asked = tenant_or_slug
        self._scope: Any = None

    def __enter__(self) -> Tenant:
        if self._scope is not None:
            raise RuntimeError("this use_tenant() is entered already; make another one")
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
        alias = required_alias()
        self.__exit__(kind, error, trace)
        # Django's async methods open their connection in the thread that serves this task, and it is closed there.
        await sync_to_async(leave_unless_entered)(alias)


class acting_on:
    """Make a database current whatever its state. For rollouts and maintenance; all others take ``use_tenant``.

    A class, as each request enters one: as a generator it takes three times as long.
    """

    def __init__(self, database: Reachable) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._before = _current.get()
        self._entry, self._now = _enter(self._database)

    def __exit__(self, *_: object) -> None:
        scope, around = self._entry, _entered.get()
        in_order = _current.get() is self._now
        if scope in around:  # not so where a generator ends in another context than it began
            # Generators may end in another order than they began. Then nothing is current: what follows raises,
            # where it would else go on in whichever tenant was left behind.
            _current.set(self._before if in_order else None)
            _entered.set(tuple([one for one in around if one is not scope]))
        _leave(scope)
        if not in_order:
            raise WrongTenantError(
                f"the scope of {self._database.slug} was left inside another one: did a generator mix two?"
            )


def context_under(database: Reachable) -> tuple[Context, Callable[[], None]]:
    """A copy of this context in which a database is current, and what is to be called when all is done there."""
    context = copy_context()
    scope, _ = context.run(_enter, database)
    return context, partial(_leave, scope)


def _enter(database: Reachable) -> tuple[Scope, tuple[Reachable, str]]:
    alias = database.alias
    now, scope = (database, alias), Scope(alias)
    _current.set(now)
    _entered.set((*_entered.get(), scope))
    return scope, now


def _leave(scope: Scope) -> None:
    scope.is_over = True
    leave_unless_entered(scope.alias)


def entered_scopes() -> tuple[Scope, ...]:
    """All scopes around the code that runs, the innermost last. The same tuple as long as they are the same."""
    return _entered.get()


def leave_unless_entered(alias: str) -> None:
    """Give this thread's connection to a tenant back, unless a scope around the code that runs is the tenant's."""
    if all(scope.alias != alias for scope in _entered.get()):
        _required_directory().leave(alias)


class use_main:
    """Work on the main database only: no tenant is current inside, and apps that live in both mean main's tables."""

    def __enter__(self) -> None:
        self._token = _current.set(None)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


current_entry: Callable[[], object] = _current.get
"""What is current, for who asks often: the same object as long as no tenant was entered or left since."""


def current_tenant() -> Tenant | None:
    """The current tenant, or None. (While a template is migrated, that stand-in is current.)"""
    current = _current.get()
    return current[0] if current is not None else None  # type: ignore[return-value]  # it has what a caller may ask


def current_alias() -> str | None:
    """The alias of the current tenant, or None."""
    current = _current.get()
    return current[1] if current is not None else None


def required_alias() -> str:
    """The alias of the current tenant; raises ``NoTenantError`` where there is none."""
    alias = current_alias()
    if alias is None:
        raise NoTenantError
    return alias


class tenant_atomic(transaction.Atomic):
    """``transaction.atomic()`` on the current tenant's database; a bare ``atomic()`` means main's.

    ``with tenant_atomic():``, or ``@tenant_atomic()`` above a function that is called under a tenant. Raises
    ``NoTenantError`` where none is current.
    """

    def __init__(self, *, savepoint: bool = True, durable: bool = False) -> None:
        super().__init__(None, savepoint, durable)
        self._is_durable = durable

    def __enter__(self) -> None:
        self.using = required_alias()
        super().__enter__()

    def _recreate_cm(self) -> tenant_atomic:
        # One for each call of a decorated function: the next may be under another tenant.
        return tenant_atomic(savepoint=self.savepoint, durable=self._is_durable)


def tenant_on_commit(callback: Callable[[], object]) -> None:
    """``transaction.on_commit()`` on the current tenant's database."""
    transaction.on_commit(callback, using=required_alias())


def _required_directory() -> Directory:
    if _directory is None:
        raise RuntimeError("tenants.apps.TenantsConfig.ready() has not run: call django.setup() first")
    return _directory
