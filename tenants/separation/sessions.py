"""Sessions that hold under one tenant only. Named in ``SESSION_ENGINE``; the rows are Django's, in main.

A session that begins while a tenant is current, on ``acme.example.com`` for instance, belongs to that tenant. Its
cookie, sent to another tenant or where none is current, opens nothing: the session is empty there, and nobody is logged
in. A session that begins where no tenant is current, as on the platform's own host, belongs to the person, who may go
from tenant to tenant with it; each asks who belongs to it (tenants.permissions).

The session middleware has to stand below ``TenantMiddleware``: see check ``tenants.E005``.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseSession

from tenants.context import current_alias

TENANT_KEY = "_silo_tenant"


class TenantSessionMixin(SessionBase):
    """Put before a session store's class, writes into each new session whose it is, and reads no other's."""

    def load(self) -> dict[str, Any]:
        return self._unless_foreign(super().load())

    async def aload(self) -> dict[str, Any]:
        return self._unless_foreign(await super().aload())

    def save(self, must_create: bool = False) -> None:
        self._stamp(must_create)
        super().save(must_create)

    async def asave(self, must_create: bool = False) -> None:
        self._stamp(must_create)
        await super().asave(must_create)

    def _stamp(self, is_new: bool) -> None:
        # Only as it begins: a person's own session does not become a tenant's by being used there.
        if is_new and current_alias() is not None:
            # Nothing is loaded: a new session has no past, and loading one would ask for its row.
            session = self._get_session(no_load=True)  # type: ignore[attr-defined]  # Django's, and not in the stubs
            session[TENANT_KEY] = current_alias()

    def _unless_foreign(self, data: dict[str, Any]) -> dict[str, Any]:
        if data.get(TENANT_KEY, current_alias()) == current_alias():
            return data
        # Without a key what is written next begins a session of its own, as where the cookie names none.
        self._session_key = None
        return {}


class SessionStore(TenantSessionMixin, DatabaseSession):
    """Django's own in the database, kept apart by tenant."""
