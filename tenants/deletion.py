"""A tenant leaves: out of service at once, gone when its grace is over, and until then it may be taken back.

What drops it and what takes it back exclude each other: both hold the tenant's lock on its server, and ask main, by
main's clock, whether the grace is over.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.models import Token
from tenants.databases.clone import close_connections, drop, exists
from tenants.databases.provision import alone_with
from tenants.databases.roles import drop_role
from tenants.databases.sessions import require_exists
from tenants.errors import TransitionError, UnknownTenantError
from tenants.lifecycle import reopen
from tenants.models import Tenant
from tenants.models.tenant import TenantState
from tenants.routing.registry import directory
from tenants.signals import tenant_purged


def begin_deletion(tenant: Tenant, *, grace: timedelta | None = None) -> None:
    """Take a tenant out of service; after ``grace`` (default: ``TENANT_DELETE_GRACE``) it may be purged.

    Raises ``TransitionError``, ``TenantBusyError``, ``UnknownTenantError``. Harmless on one that is being deleted: what
    was cut off between main and the server is completed, and a shorter grace counts.
    """
    mark_deleting(tenant, grace=grace)
    close_deleting(tenant)


def mark_deleting(tenant: Tenant, *, grace: timedelta | None = None) -> None:
    """The first half, in main. Raises ``TransitionError``, ``UnknownTenantError``."""
    _refresh(tenant)
    delete_at = Now() + (settings.TENANT_DELETE_GRACE if grace is None else grace)
    if tenant.state != Tenant.State.DELETING:
        tenant.move_to(
            Tenant.State.DELETING, source=TenantState(tenant.state), delete_at=delete_at, returns_to=tenant.state
        )
    elif grace is not None:
        Tenant.objects.filter(pk=tenant.pk, state=Tenant.State.DELETING, delete_at__gt=delete_at).update(
            delete_at=delete_at
        )
    _refresh(tenant)


def close_deleting(tenant: Tenant) -> None:
    """The second half, on the server; not before main has committed the first, or a kill would leave it closed.

    Nothing is done where the deletion was taken back meanwhile, or a tenant that is served would be closed. Raises
    ``TenantBusyError``; done again, it completes what was not.
    """
    with alone_with(tenant) as cursor:
        _refresh(tenant)
        if tenant.state == Tenant.State.DELETING and exists(cursor, tenant.alias):
            close_connections(cursor, tenant.alias)
    directory.forget(tenant)


def undo_deletion(tenant: Tenant) -> None:
    """Bring a tenant back to the state it had, at the fleet's head where that is active.

    Raises ``TransitionError`` where it is not being deleted or its grace is over, ``TenantBusyError``,
    ``ProvisioningError``, ``DatabaseMissingError``. Cut off, it may be done again.
    """
    with alone_with(tenant) as cursor:
        if not Tenant.objects.filter(pk=tenant.pk, state=Tenant.State.DELETING, delete_at__gt=Now()).exists():
            raise TransitionError(f"{tenant.slug} is not being deleted, or its grace is over", tenant=tenant.slug)
        _refresh(tenant)
        back = {"delete_at": None, "returns_to": ""}
        if tenant.returns_to == Tenant.State.ACTIVE:
            require_exists(tenant)
            reopen(cursor, tenant, source=Tenant.State.DELETING, **back)
        else:
            tenant.move_to(TenantState(tenant.returns_to), source=Tenant.State.DELETING, **back)
    directory.forget(tenant)


def due() -> QuerySet[Tenant]:
    """Tenants whose grace is over, the longest first."""
    over = Tenant.objects.filter(state=Tenant.State.DELETING, delete_at__lte=Now())
    return over.select_related("server").order_by("delete_at")


def purge(tenant: Tenant) -> bool:
    """Drop all there is of a tenant whose grace is over; False where there is nothing to do any more.

    The row in main goes last, and every step passes over what is done: killed at any line, the next purge finds the
    tenant again and goes on. Raises ``TenantBusyError``, psycopg2's errors, and those of the receivers.
    """
    with alone_with(tenant) as cursor:
        if not due().filter(pk=tenant.pk).exists():
            return False
        drop(cursor, tenant.alias)
        drop_role(cursor, tenant.alias)
        tenant_purged.send(sender=Tenant, alias=tenant.alias)
        Token.objects.filter(tenant_id=tenant.pk).delete()
        # Not tenant.delete(), after which the instance has no id to be named by.
        Tenant.objects.filter(pk=tenant.pk).delete()
    return True


def _refresh(tenant: Tenant) -> None:
    """How it stands in main by now; raises ``UnknownTenantError`` where another process has purged it."""
    try:
        tenant.refresh_from_db(fields=["state", "delete_at", "returns_to"])
    except Tenant.DoesNotExist as error:
        raise UnknownTenantError(f"{tenant.slug} has been purged meanwhile", tenant=tenant.slug) from error
