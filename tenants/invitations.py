"""Inviting somebody to a tenant by e-mail, whether he has an account yet or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.core import signing
from django.db import transaction
from django.utils import timezone

from accounts.brakes import MAIL_TO, Policy, count_try
from accounts.mail import send
from tenants.errors import AlreadyMemberError, InvalidInvitationError, OtherAddressError
from tenants.members import add_member
from tenants.models import Invitation, Tenant, UserTenantAssociation

if TYPE_CHECKING:
    from accounts.models import User

GOOD_FOR = timedelta(days=7)
INVITED_BY_TENANT = Policy("invited by", free=100, first=timedelta(seconds=10), longest=timedelta(minutes=15))
"""So that a tenant is no way to write to the whole world."""

INVITED = replace(MAIL_TO, kind="invited")
"""Apart from what else is mailed to an address: invitations keep nobody from a new password."""

_signer = signing.Signer(salt="tenants.invitations")


def invite(tenant: Tenant, email: str, role: str, invited_by: User) -> Invitation:
    """Mail a link by which its reader may join. One that was sent to this address before is good no longer.

    Raises ``AlreadyMemberError``, and the accounts' ``TooManyTriesError``.
    """
    if tenant.associations.filter(user__email=email).exists():
        raise AlreadyMemberError
    count_try(INVITED_BY_TENANT, tenant.id.hex)
    count_try(INVITED, email.lower())
    now = timezone.now()
    with transaction.atomic(using="default"):
        # Two who invite the same address at once wait for each other here.
        Tenant.objects.select_for_update().get(pk=tenant.pk)
        tenant.invitations.filter(email=email).delete()
        tenant.invitations.filter(expires_at__lte=now).delete()
        invitation = Invitation.objects.create(
            tenant=tenant, email=email, role=role, invited_by=invited_by, expires_at=now + GOOD_FOR
        )
    send("tenants/mail/invitation", invitation.email, invitation=invitation, link=link_of(invitation))
    return invitation


def link_of(invitation: Invitation) -> str:
    """What proves that its bearer reads the invited address's mail."""
    return _signer.sign(invitation.pk.hex)


def find_invitation(link: str) -> Invitation:
    """Raises ``InvalidInvitationError``."""
    try:
        invitation_id = UUID(hex=_signer.unsign(link))
    except (signing.BadSignature, ValueError) as error:
        raise InvalidInvitationError from error
    found = Invitation.objects.filter(pk=invitation_id, expires_at__gt=timezone.now())
    invitation = found.select_related("tenant__server").first()
    if invitation is None:
        raise InvalidInvitationError
    return invitation


def accept(invitation: Invitation, user: User) -> UserTenantAssociation:
    """Join the tenant as the user who was invited. Of two who use one link at once, one joins.

    Raises ``OtherAddressError``, ``InvalidInvitationError``, ``AlreadyMemberError``, ``TenantUnavailableError``.
    """
    if user.email != invitation.email:
        raise OtherAddressError
    invitation.tenant.require_active()
    with transaction.atomic(using="default"):
        used, _ = Invitation.objects.filter(pk=invitation.pk, expires_at__gt=timezone.now()).delete()
        if not used:
            raise InvalidInvitationError
        return add_member(invitation.tenant, user, invitation.role)
