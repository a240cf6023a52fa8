"""Who belongs to a tenant: letting in, changing roles, taking out. A tenant always keeps an owner.

``by`` is the member who does it, whose role is asked for anew; None is the platform itself, or a member who leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Q
from psycopg2 import errorcodes

from tenants.databases.sessions import sqlstate_of
from tenants.errors import AlreadyMemberError, LastOwnerError, NotMemberError, RoleError
from tenants.models import Role, Tenant, UserTenantAssociation
from tenants.permissions import Deed, may

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import User


def add_member(
    tenant: Tenant, user: User, role: str, *, by: UserTenantAssociation | None = None
) -> UserTenantAssociation:
    """Raises ``AlreadyMemberError``, ``RoleError``; of two who add the same user at once, one gets it.

    Raises ``IntegrityError`` where the user or the tenant is gone.
    """
    try:
        with transaction.atomic(using="default"):
            if by is not None:
                hold_members(tenant.pk)
                require_manager(UserTenantAssociation.objects.filter(pk=by.pk).first(), role)
            return UserTenantAssociation.objects.create(tenant=tenant, user=user, role=role)
    except IntegrityError as error:
        if sqlstate_of(error) != errorcodes.UNIQUE_VIOLATION:
            raise
        raise AlreadyMemberError from error


def hold_members(tenant_id: UUID) -> None:
    """Keep others from changing who belongs to a tenant, and as what, until the transaction ends."""
    # Its row, and before any member's: whoever locks members in another order would wait for us, and we for them.
    Tenant.objects.using("default").select_for_update(no_key=True).get(pk=tenant_id)


def change_role(member: UserTenantAssociation, role: str, *, by: UserTenantAssociation | None = None) -> None:
    """Raises ``LastOwnerError``, ``RoleError``, ``NotMemberError``."""
    with _held(member, by, role):
        UserTenantAssociation.objects.filter(pk=member.pk).update(role=role)
        member.role = role


def remove_member(member: UserTenantAssociation, *, by: UserTenantAssociation | None = None) -> None:
    """Raises ``LastOwnerError``, ``RoleError``, ``NotMemberError``."""
    with _held(member, by, None):
        UserTenantAssociation.objects.filter(pk=member.pk).delete()


def require_owner(tenant: Tenant, *, among: Collection[str]) -> None:
    """Hold a tenant's members, who are to have these roles; raises ``LastOwnerError`` where its owners all go."""
    hold_members(tenant.pk)
    if Role.OWNER not in among and tenant.associations.filter(role=Role.OWNER).exists():
        raise LastOwnerError


def require_manager(member: UserTenantAssociation | None, *roles: str | None) -> None:
    """Raises ``RoleError`` unless this member may make members of these roles, or take the roles away."""
    allowed = member is not None and may(member.role, Deed.MANAGE_MEMBERS)
    if Role.OWNER in roles:
        allowed = allowed and member is not None and may(member.role, Deed.MANAGE_OWNERS)
    if not allowed:
        raise RoleError


@contextmanager
def _held(member: UserTenantAssociation, by: UserTenantAssociation | None, role: str | None) -> Iterator[None]:
    """Hold who is concerned while a member gets another role, or (None) goes.

    The races: of two owners each takes the other out at the same moment, each sees two, none is left; or somebody is
    taken out, or made an owner, after his role was looked at. So the tenant is held first, and the roles are read under
    that: the second waits for the first, and sees what that has left.
    """
    concerned = Q(pk__in=[one.pk for one in (member, by) if one]) | Q(tenant_id=member.tenant_id, role=Role.OWNER)
    with transaction.atomic(using="default"):
        hold_members(member.tenant_id)
        roles = {row.pk: row for row in UserTenantAssociation.objects.filter(concerned)}
        if member.pk not in roles:
            raise NotMemberError
        if by is not None:
            require_manager(roles.get(by.pk), roles[member.pk].role, role)
        if role != Role.OWNER and [row.pk for row in roles.values() if row.role == Role.OWNER] == [member.pk]:
            raise LastOwnerError
        yield
