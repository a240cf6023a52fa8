"""Signed links that are sent by e-mail: they prove that whoever has one reads that address's mail.

A link carries a user's id and a signature with its time. It serves once, because the signature also covers what it is
there to change.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.utils import timezone

from accounts.errors import InvalidLinkError
from accounts.mail import send
from accounts.models import User


class VerificationTokenGenerator(PasswordResetTokenGenerator):
    """Covers the address and whether it is verified, in place of password and last log-in."""

    key_salt = "accounts.links.VerificationTokenGenerator"

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        return f"{user.pk}{user.email}{user.email_verified_at}{timestamp}"


_reset, _verification = PasswordResetTokenGenerator(), VerificationTokenGenerator()


def send_reset(email: str) -> None:
    """Mail a link with which to set a new password; nothing where no active user has this address."""
    user = User.objects.filter(email=email, is_active=True).first()
    if user is not None:
        send("accounts/mail/reset_password", user.email, user=user, link=_link(_reset, user))


def user_to_reset(link: str) -> User:
    """Raises ``InvalidLinkError``."""
    return _user_of(_reset, link)


def reset_password(link: str, password: str) -> User:
    """Set a new password: all tokens and sessions end. The address is proven by it. Raises ``InvalidLinkError``."""
    with transaction.atomic(using="default"):
        # The race: of two who use one link at once, the second sees the password that the first has set.
        user = _user_of(_reset, link, lock=True)
        user.set_password(password)
        user.email_verified_at = user.email_verified_at or timezone.now()
        user.save()
    return user


def send_verification(email: str) -> None:
    """Mail a link that verifies the address; nothing where no user has it, or it is verified."""
    user = User.objects.filter(email=email, is_active=True, email_verified_at=None).first()
    if user is not None:
        send("accounts/mail/verify_email", user.email, user=user, link=_link(_verification, user))


def verify_email(link: str) -> User:
    """Raises ``InvalidLinkError``."""
    with transaction.atomic(using="default"):
        user = _user_of(_verification, link, lock=True)
        user.email_verified_at = timezone.now()
        user.save(update_fields=["email_verified_at"])
    return user


def _link(tokens: PasswordResetTokenGenerator, user: User) -> str:
    return f"{user.pk.hex}-{tokens.make_token(user)}"


def _user_of(tokens: PasswordResetTokenGenerator, link: str, *, lock: bool = False) -> User:
    user_id, _, token = link.partition("-")
    try:
        users = User.objects.select_for_update() if lock else User.objects.all()
        user = users.filter(pk=UUID(hex=user_id), is_active=True).first()
    except ValueError:
        user = None
    if user is None or not tokens.check_token(user, token):
        raise InvalidLinkError
    return user
