"""Which database a query goes to.

==================  ============================  =========================================
model               what is current               outcome
==================  ============================  =========================================
main's              anything                      main
tenant's            a tenant                      that tenant; raises where the instance is another's
tenant's            none                          raises ``NoTenantError``
in both             --                            the instance's database, else the current
                                                  tenant, else main
==================  ============================  =========================================

Nothing falls back to main. (``instance.__class__`` and not ``type(instance)``: ``request.user`` is a lazy stand-in,
which tells the class of what it stands for.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS

from tenants import naming
from tenants.context import current_alias
from tenants.errors import NoTenantError, WrongTenantError
from tenants.routing.connections import databases
from tenants.tenant_apps import dual_app_labels, lives_in_main, lives_in_tenants, tenant_app_labels

if TYPE_CHECKING:
    from django.db.models import Model


class TenantRouter:
    """Sends tenant apps' queries to the current tenant and everything else to main."""

    def db_for_read(self, model: type[Model], instance: Model | None = None, **_: Any) -> str:
        if not lives_in_tenants(model):
            return DEFAULT_DB_ALIAS
        current = current_alias()
        origin = instance._state.db if instance is not None and lives_in_tenants(instance.__class__) else None
        if lives_in_main(model):
            return origin or current or DEFAULT_DB_ALIAS
        if origin is not None and current is not None and origin != current:
            raise WrongTenantError(f"{model._meta.label} of {origin} while {current} is current")
        if current is not None:
            return current
        if origin is not None and databases().is_pinned(origin):
            return origin
        raise NoTenantError(f"{model._meta.label} lives in tenant databases", model=model._meta.label)

    db_for_write = db_for_read

    def allow_relation(self, left: Model, right: Model, **hints: Any) -> bool:
        """True within one database; raises ``WrongTenantError`` across two tenants; False across main and a tenant."""
        ours, theirs = left._state.db, right._state.db
        if ours == theirs or ours is None or theirs is None:
            return lives_in_tenants(left.__class__) == lives_in_tenants(right.__class__) or _share_main(left, right)
        if naming.holds_tenant_tables(ours) and naming.holds_tenant_tables(theirs):
            raise WrongTenantError(
                f"a {left.__class__.__name__} of {ours} and a {right.__class__.__name__} of {theirs}"
            )
        return False

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if naming.holds_tenant_tables(db):
            return app_label in tenant_app_labels()
        if db == DEFAULT_DB_ALIAS:
            return app_label not in tenant_app_labels() or app_label in dual_app_labels()
        return None


def _share_main(left: Model, right: Model) -> bool:
    return lives_in_main(left.__class__) and lives_in_main(right.__class__)
