"""What a program sends to say whose it is."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from knox.models import AbstractAuthToken, AuthTokenManager

from accounts.errors import PasswordChangedError

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models.user import User


class TokenManager(AuthTokenManager):
    """Makes tokens; knox's ``create`` gives the row and the token itself."""

    def issue(self, user: User, *, name: str, lifetime: timedelta, tenant_id: UUID | None = None) -> tuple[Token, str]:
        """A token for a user who has shown who he is: the row, and the token itself.

        The race: his password is changed after it, or another token, was looked at, which ends all tokens there are.
        This one must not be made after that. Raises ``PasswordChangedError``. His tokens that have expired go.
        """
        with transaction.atomic(using="default"):
            fresh = type(user)._default_manager.select_for_update().get(pk=user.pk)
            if fresh.password != user.password:
                raise PasswordChangedError
            self.filter(user=user, expiry__lte=timezone.now()).delete()
            made: tuple[Token, str] = self.create(user=user, expiry=lifetime, name=name, tenant_id=tenant_id)
        return made

    def alive(self) -> models.QuerySet[Token]:
        """Those that have not expired. The others go when their user gets another one."""
        alive: models.QuerySet[Token] = self.filter(Q(expiry=None) | Q(expiry__gt=timezone.now()))
        return alive


class Token(AbstractAuthToken):
    """One way in for one user: of a log-in, or made by name for a program. The database holds its SHA-512 only.

    ``id`` would have to be the key, which is knox's digest; people name tokens by ``public_id``.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, blank=True)
    # An id and no key: accounts know no tenants.
    tenant_id = models.UUIDField(null=True, editable=False, db_index=True, help_text="It is good for this tenant only.")

    objects = TokenManager()

    class Meta(AbstractAuthToken.Meta):
        abstract = False
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.name or 'token'} of {self.user}"

    @property
    def has_expired(self) -> bool:
        return self.expiry is not None and self.expiry <= timezone.now()
