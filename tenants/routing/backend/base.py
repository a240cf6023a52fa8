"""A connection to one tenant's database, which refuses to speak while another tenant is current."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base as postgresql

from tenants.context import current_alias
from tenants.errors import WrongTenantError
from tenants.routing.connections import databases


class DatabaseWrapper(postgresql.DatabaseWrapper):
    """Every statement takes a cursor from here: the last place that can see a query go to the wrong tenant."""

    def __init__(self, settings_dict: dict[str, Any], alias: str) -> None:
        super().__init__(settings_dict, alias)
        databases().open_here().add(alias)
        self.sessions_opened = 0
        """Leaving ``atomic`` over a lost session opens a new one at once; only this count tells."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        session = super().get_new_connection(conn_params)
        self.sessions_opened += 1
        return session

    def _cursor(self, name: str | None = None) -> Any:
        current = current_alias()
        if current is not None and current != self.alias:
            raise WrongTenantError(f"a query for {self.alias} while {current} is current")
        return super()._cursor(name)  # type: ignore[misc]
