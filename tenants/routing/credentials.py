"""Passwords of tenants' run-time roles: derived when needed, stored nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from tenants.keys import key_of_id

if TYPE_CHECKING:
    from uuid import UUID

    from tenants.models import Tenant


def runtime_password(tenant: Tenant) -> str:
    """The password of the tenant's generation. Raises ``CredentialsKeyError`` where its key is not known here."""
    return _derived(tenant.credentials_key, tenant.id, tenant.credentials_generation)


def pending_password(tenant: Tenant) -> str | None:
    """The next generation's, which the role may have already, while its password is being rotated; otherwise None."""
    if not tenant.credentials_pending_key:
        return None
    return _derived(tenant.credentials_pending_key, tenant.id, tenant.credentials_generation + 1)


def _derived(key_id: str, tenant_id: UUID, generation: int) -> str:
    """HMAC-SHA-256 of the platform's key over the tenant's id and generation (RFC 2104), URL-safe base64.

    A new generation is a new password: that is how credentials are rotated.
    """
    message = f"silo runtime role:{tenant_id.hex}:{generation}".encode()
    digest = hmac.new(key_of_id(key_id).encode(), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
