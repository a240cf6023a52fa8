"""Cache keys that carry the tenant. Named in ``CACHES[...]["KEY_FUNCTION"]``."""

from __future__ import annotations

from tenants.separation.owner import owner


def tenant_key(key: object, key_prefix: str, version: int) -> str:
    """Django's own key, with the current tenant's alias before the part that the caller chose.

    What was kept under one tenant is not there for another, nor where no tenant is current; ``cache_page`` and template
    fragments included. An alias has no colon, so no key of one tenant can be written to read like another's.
    """
    return f"{key_prefix}:{version}:{owner()}:{key}"
