"""``DATABASES`` for a fleet: each tenant's settings are found when asked for, and only open ones are walked.

Django walks every alias of ``DATABASES`` at the start and end of each request; with 10,000 aliases that takes 20 ms.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections

from tenants import naming
from tenants.routing.credentials import runtime_password

if TYPE_CHECKING:
    from tenants.models import Server, Tenant

CONNECT_TIMEOUT_S = 5
POSTGRESQL_PORT = 5432
PGBOUNCER_PORT = 6432

type_settings = dict[str, Any]

MOST_KEPT = 1_000
"""How many tenants' settings are kept though no connection uses them."""


class TenantSettings(type_settings):
    """Django's settings of one tenant's connections. A plain dict could not be held weakly."""

    is_trusted = True
    """Whether the tenant has not changed since; otherwise it is read anew when its alias is next asked for."""

    made_of: tuple[Any, ...] = ()
    """What of the tenant they follow from. They are the same as long as that is: a password takes long to derive."""


class TenantDatabases(dict[str, type_settings]):
    """The mapping to put in ``settings.DATABASES``. Holds what settings.py names, and any tenant's alias on demand.

    Iterating yields only the named ones, those this thread has open, and those pinned. An alias always gives the same
    dict while it is used, with Django's defaults filled in. One that belongs to no tenant raises ``KeyError``.
    What nobody uses is forgotten.
    """

    def __init__(self, named: dict[str, type_settings]) -> None:
        super().__init__(named)
        self._tenants: weakref.WeakValueDictionary[str, TenantSettings] = weakref.WeakValueDictionary()
        """All that anyone holds, each connection included: so an alias gives one dict as long as one is in use."""
        self._kept: OrderedDict[str, TenantSettings] = OrderedDict()
        """Those of the tenants that were asked for last, the latest at the end."""
        self._changing = threading.Lock()
        self._pinned: set[str] = set()
        self._thread = threading.local()

    def __contains__(self, alias: object) -> bool:
        if super().__contains__(alias):
            return True
        return isinstance(alias, str) and self._find(alias) is not None

    def __missing__(self, alias: str) -> type_settings:
        found = self._find(alias)
        if found is None:
            raise KeyError(alias)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        if more := self._pinned | self.open_here():
            yield from sorted(more)

    def __len__(self) -> int:
        return super().__len__() + len(self._pinned | self.open_here())

    # A dict's own views would walk what it holds, not what iteration yields. (Their types are its own: the ignores.)
    def keys(self) -> KeysView[str]:  # type: ignore[override]
        return KeysView(self)

    def values(self) -> ValuesView[type_settings]:  # type: ignore[override]
        return ValuesView(self)

    def items(self) -> ItemsView[str, type_settings]:  # type: ignore[override]
        return ItemsView(self)

    def open_here(self) -> set[str]:
        """Aliases of the connection objects of this thread, beside those that settings.py names."""
        try:
            return self._thread.aliases
        except AttributeError:
            self._thread.aliases = set()
            return self._thread.aliases

    def pin(self, alias: str) -> None:
        """Have iteration yield this alias in every thread, as Django's test cases need for the databases they hold."""
        self._pinned.add(alias)

    def unpin(self, alias: str) -> None:
        self._pinned.discard(alias)

    def is_pinned(self, alias: str) -> bool:
        return alias in self._pinned

    def remember(self, tenant: Tenant) -> TenantSettings:
        """Take a tenant's address and credentials as they are now. Connections opened from here on use them."""
        alias, server = tenant.alias, tenant.server
        # Main's own address, which a blank host means, stays as it is.
        made_of = (
            *(tenant.credentials_generation, server.host, server.port),
            *(server.pooler_host, server.pooler_port),
        )
        known = self._tenants.get(alias)
        fresh = known if known is not None and known.made_of == made_of else runtime_settings(tenant)
        with self._changing:
            known = self._tenants.setdefault(alias, fresh)
            if known is not fresh:
                known.update(fresh)
            known.made_of, known.is_trusted = made_of, True
            self._kept[alias] = known
            self._kept.move_to_end(alias)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return known

    def distrust(self, alias: str) -> None:
        """A tenant has changed: its settings are read anew when they are next asked for."""
        settings = self._tenants.get(alias)
        if settings is not None:
            settings.is_trusted = False

    def distrust_all(self) -> None:
        for each in list(self._tenants.values()):
            each.is_trusted = False

    def start_anew(self) -> None:
        """In a child process: a thread that does not exist there may hold the lock."""
        self._changing = threading.Lock()

    def _find(self, alias: str) -> type_settings | None:
        settings = self._tenants.get(alias)
        if (settings is None or not settings.is_trusted) and naming.is_tenant_alias(alias):
            from tenants.routing.registry import directory  # The registry needs models, and settings.py needs this.

            tenant = directory.find_by_alias(alias)
            return self.remember(tenant) if tenant is not None else None
        return settings


def databases() -> TenantDatabases:
    """The mapping in force."""
    mapping = connections.settings
    if not isinstance(mapping, TenantDatabases):
        raise TypeError("settings.DATABASES must be a tenants.routing.connections.TenantDatabases")
    return mapping


def address_of(server: Server) -> tuple[str, str]:
    """Host and port of a server, as libpq takes them. A blank host is the main database's server."""
    if server.host:
        return server.host, str(server.port or POSTGRESQL_PORT)
    main = connections["default"].settings_dict
    return main["HOST"], str(server.port or main["PORT"] or "")


def pooler_of(server: Server) -> tuple[str, str]:
    """Host and port of the PgBouncer in front of a server; the host is blank where there is none."""
    return server.pooler_host, str(server.pooler_port or PGBOUNCER_PORT)


def is_mains(server: Server) -> bool:
    """Whether the main database is on this server, too."""
    main = connections["default"].settings_dict
    return address_of(server) == (main["HOST"], str(main["PORT"] or ""))


def runtime_settings(tenant: Tenant) -> TenantSettings:
    """Django's settings of the connection that serves a tenant: its own role, which reaches its own database only.

    Behind a PgBouncer in transaction mode nothing may stay in a session from one transaction to the next: no start-up
    options, which it refuses (Django sets the time zone where it is not UTC, and PgBouncer keeps that one), and no
    server-side cursors.
    """
    server = tenant.server
    host, port = pooler_of(server) if server.pooler_host else address_of(server)
    chosen = with_defaults(
        NAME=tenant.alias,
        USER=tenant.alias,
        PASSWORD=runtime_password(tenant),
        HOST=host,
        PORT=port,
        OPTIONS={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "keepalives_idle": 15,
            "tcp_user_timeout": 30_000,
            "application_name": "silo",
            # Given at the start it costs no round trip, and DISCARD ALL does not undo it.
            **({} if server.pooler_host else {"options": "-c TimeZone=UTC"}),
        },
        DISABLE_SERVER_SIDE_CURSORS=bool(server.pooler_host),
    )
    return TenantSettings(chosen)


def with_defaults(**chosen: Any) -> type_settings:
    """A whole settings dict for our backend; Django fills in defaults only for what stood in DATABASES at the start."""
    return {
        "ENGINE": "tenants.routing.backend",
        "ATOMIC_REQUESTS": False,
        "AUTOCOMMIT": True,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,
        "TIME_ZONE": None,
        "TEST": {"CHARSET": None, "COLLATION": None, "MIGRATE": True, "MIRROR": None, "NAME": None},
        **chosen,
    }


class _LaidBy(threading.local):
    """Closed connection objects of a thread, for its next visits: to make one, and all that is cached on it, takes as
    long as a query. At most as many as there are sessions; the latest at the end.
    """

    def __init__(self) -> None:
        self.of: OrderedDict[str, Any] = OrderedDict()


_laid_by = _LaidBy()


def take_up(alias: str, chosen: TenantSettings) -> None:
    """Have this thread use again what it laid by, if that is of these settings."""
    connection = _laid_by.of.pop(alias, None)
    if connection is None or connection.settings_dict is not chosen:
        return
    opened = databases().open_here()
    if alias not in opened:
        connections[alias] = connection
        opened.add(alias)


def _lay_by(alias: str, connection: Any) -> None:
    _laid_by.of[alias] = connection
    if len(_laid_by.of) > settings.TENANT_POOL_SIZE:
        _laid_by.of.popitem(last=False)


def close_here(alias: str) -> None:
    """Close this thread's connection to a tenant and lay it by, unless it is inside ``atomic`` or in use elsewhere."""
    opened = databases().open_here()
    if alias not in opened:
        return
    # Of our backend, which this module cannot import. `connections[alias]` would make one where there is none.
    connection: Any = getattr(connections._connections, alias, None)  # type: ignore[attr-defined]  # Django's own
    if connection is None or connection.in_atomic_block or connection.is_in_use:
        return
    if connection.connection is not None:  # Django makes the object in async code, which may not close it
        connection.close()
    del connections[alias]
    opened.discard(alias)
    if connection.is_as_made:
        _lay_by(alias, connection)
