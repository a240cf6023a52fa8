"""Passwords of tenants' run-time roles: derived when needed, stored nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from tenants.models import Tenant


def runtime_password(tenant: Tenant) -> str:
    """HMAC-SHA-256 of the platform's key over the tenant's id and generation (RFC 2104), URL-safe base64.

    A new generation is a new password: that is how credentials are rotated.
    """
    message = f"silo runtime role:{tenant.id.hex}:{tenant.credentials_generation}".encode()
    digest = hmac.new(settings.TENANT_CREDENTIALS_KEY.encode(), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
