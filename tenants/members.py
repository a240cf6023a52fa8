"""Who belongs to a tenant: letting in, changing roles, taking out. A tenant always keeps an owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError, transaction

from tenants.errors import AlreadyMemberError, LastOwnerError
from tenants.models import Role, Tenant, UserTenantAssociation

if TYPE_CHECKING:
    from accounts.models import User


def add_member(tenant: Tenant, user: User, role: str) -> UserTenantAssociation:
    """Raises ``AlreadyMemberError``; of two who add the same user at once, one gets it."""
    try:
        with transaction.atomic(using="default"):
            return UserTenantAssociation.objects.create(tenant=tenant, user=user, role=role)
    except IntegrityError as error:
        raise AlreadyMemberError from error


def hold_members(tenant_id: UUID) -> None:
    """Keep others from changing who belongs to a tenant, and as what, until the transaction ends."""
    # Its row, and before any member's: whoever locks members in another order would wait for us, and we for them.
    Tenant.objects.using("default").select_for_update(no_key=True).get(pk=tenant_id)


def change_role(member: UserTenantAssociation, role: str) -> None:
    """Raises ``LastOwnerError``."""
    with _keeping_an_owner(member, leaves_owners=role != Role.OWNER):
        UserTenantAssociation.objects.filter(pk=member.pk).update(role=role)
        member.role = role


def remove_member(member: UserTenantAssociation) -> None:
    """Raises ``LastOwnerError``."""
    with _keeping_an_owner(member, leaves_owners=True):
        UserTenantAssociation.objects.filter(pk=member.pk).delete()


@contextmanager
def _keeping_an_owner(member: UserTenantAssociation, *, leaves_owners: bool) -> Iterator[None]:
    """Hold the tenant's owners while one of them may cease to be one.

    The race: of two owners each takes the other out at the same moment, each sees two, none is left. So the owners'
    rows are locked first: the second waits for the first, and PostgreSQL then looks again which rows are still owners.
    """
    with transaction.atomic(using="default"):
        hold_members(member.tenant_id)
        owners = UserTenantAssociation.objects.select_for_update().filter(tenant_id=member.tenant_id, role=Role.OWNER)
        # In one order, or two such requests could wait for each other.
        owner_ids = list(owners.order_by("pk").values_list("pk", flat=True))
        if leaves_owners and owner_ids == [member.pk]:
            raise LastOwnerError
        yield
