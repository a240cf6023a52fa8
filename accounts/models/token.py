"""What a program sends to say whose it is."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from knox.models import AbstractAuthToken, AuthTokenManager


class TokenManager(AuthTokenManager):
    """Makes tokens: ``create(user=..., expiry=<timedelta>, name=...)`` gives the row and the token itself."""

    def alive(self) -> models.QuerySet[Token]:
        """Those that have not expired. The others go when their user next uses one that has not."""
        alive: models.QuerySet[Token] = self.filter(Q(expiry=None) | Q(expiry__gt=timezone.now()))
        return alive


class Token(AbstractAuthToken):
    """One way in for one user: of a log-in, or made by name for a program. The database holds its SHA-512 only.

    ``id`` would have to be the key, which is knox's digest; people name tokens by ``public_id``.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, blank=True)

    objects = TokenManager()

    class Meta(AbstractAuthToken.Meta):
        abstract = False
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.name or 'token'} of {self.user}"
