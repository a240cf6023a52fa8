"""The platform's keys, from which tenants' passwords are derived: the present one, and those that it replaced.

A tenant's row says under which key its password was made, by the key's id. That is a hash: it tells nothing of the key.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from django.conf import settings

from tenants.errors import CredentialsKeyError


def present_key_id() -> str:
    """The id of the key under which new passwords are made."""
    return _id_of(settings.TENANT_CREDENTIALS_KEY)


def key_of_id(key_id: str) -> str:
    """The key with this id; raises ``CredentialsKeyError`` where this process has not been told it."""
    for key in (settings.TENANT_CREDENTIALS_KEY, *settings.TENANT_CREDENTIALS_KEY_FALLBACKS):
        if _id_of(key) == key_id:
            return key
    raise CredentialsKeyError(f"its id is {key_id}", key_id=key_id)


def is_known(key_id: str) -> bool:
    try:
        key_of_id(key_id)
    except CredentialsKeyError:
        return False
    return True


@lru_cache(maxsize=8)  # asked for in every request
def _id_of(key: str) -> str:
    return hmac.new(key.encode(), b"silo key id", hashlib.sha256).hexdigest()[:16]
