"""What a request with an ``Idempotency-Key`` was answered, for whoever sends it again."""

from __future__ import annotations

import base64
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

from tenants.models.tenant import Tenant

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

LIFE = timedelta(hours=24)
"""How long a reply is kept, counted from when the request began."""
LEASE = timedelta(minutes=5)
"""How long a request may be at work before it is taken for dead."""


class KeptReply(models.Model):
    """A claim on a key, and once the request has succeeded its reply.

    ``status`` is null while the request is at work. The constraint is the lock: of two who claim at once one has the
    row. The key itself is not here, but its hash: it is needed to read ``body``, so that nothing of a tenant's data
    lies open in main.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    tenant = models.ForeignKey(Tenant, null=True, on_delete=models.CASCADE, related_name="+")
    key_hash = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked.")
    claim = models.UUIDField(default=uuid.uuid4, help_text="Which request has the row.")
    claimed_at = models.DateTimeField(default=timezone.now, db_index=True)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=bytes)

    class Meta:
        verbose_name_plural = "kept replies"
        constraints = (
            models.UniqueConstraint(
                fields=("user", "tenant", "key_hash"), nulls_distinct=False, name="one_reply_per_idempotency_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user_id}: {self.status or 'at work'}"

    @property
    def is_outlived(self) -> bool:
        return self.claimed_at < timezone.now() - LIFE

    @property
    def seconds_of_lease(self) -> int:
        """How long to wait for the request at work; 0 or less where it must have died."""
        return int((self.claimed_at + LEASE - timezone.now()).total_seconds())


def cipher_for(key: str) -> Fernet:
    """What encrypts the reply to a key: nobody reads it without the key and the installation's ``SECRET_KEY``."""
    from cryptography.fernet import Fernet  # Only here: every command would wait for it, and requests alone need it.

    digest = salted_hmac("silo.idempotency", key, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(digest))
