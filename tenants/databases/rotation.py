"""A new password for a tenant's role, while it is served.

PostgreSQL keeps one password a role, and main says which generation it is of: two places, never changed at once. So
main says first that the next generation is *pending*. From then on a process whose password is refused asks main, and
tries the pending one too (see ``routing.backend``). After a kill at any line it stays so until the next run ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import F

from tenants.databases import roles
from tenants.databases.provision import alone_with
from tenants.keys import is_known, present_key_id
from tenants.models import Installation, Tenant
from tenants.models.tenant import CREDENTIALS
from tenants.routing.credentials import pending_password

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from psycopg2.extensions import cursor as Cursor


def rotate(tenant: Tenant) -> None:
    """Give the tenant's role the password of the next generation, made under the present key.

    One that was cut off is ended first. Sessions go on. Raises ``TenantBusyError``.
    """
    with alone_with(tenant) as cursor:
        tenant.refresh_from_db(fields=CREDENTIALS)
        # Under a key that is lost it cannot be ended; but nobody can use that password either.
        if is_known(tenant.credentials_pending_key):
            _end(cursor, tenant)
        _begin(tenant)
        _end(cursor, tenant)


def mend_password(tenant: Tenant) -> None:
    """Give the role the password that main says it has; a rotation that was cut off is ended instead.

    Raises ``TenantBusyError``.
    """
    with alone_with(tenant) as cursor:
        tenant.refresh_from_db(fields=CREDENTIALS)
        if tenant.credentials_pending_key:
            _end(cursor, tenant)
        else:
            roles.ensure_runtime_role(cursor, tenant, Installation.current().id)


def _begin(tenant: Tenant) -> None:
    _row(tenant).update(credentials_pending_key=present_key_id())
    tenant.refresh_from_db(fields=CREDENTIALS)


def _end(cursor: Cursor, tenant: Tenant) -> None:
    roles.ensure_runtime_role(cursor, tenant, Installation.current().id, password=pending_password(tenant))
    _row(tenant).update(
        credentials_generation=F("credentials_generation") + 1,
        credentials_key=F("credentials_pending_key"),
        credentials_pending_key="",
    )
    tenant.refresh_from_db(fields=CREDENTIALS)


def _row(tenant: Tenant) -> QuerySet[Tenant]:
    return Tenant.objects.using("default").filter(pk=tenant.pk, credentials_generation=tenant.credentials_generation)
