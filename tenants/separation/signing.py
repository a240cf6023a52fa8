"""Signatures that hold under one tenant only: for links to download, to unsubscribe, to confirm."""

from __future__ import annotations

from django.core.signing import TimestampSigner

from tenants.context import required_alias


class TenantSigner(TimestampSigner):
    """Django's ``TimestampSigner`` for the tenant that is current when it is made.

    What another tenant's signer signed, or Django's own with the same salt, raises ``BadSignature``. ``sign_object``
    and ``unsign_object(max_age=...)`` are there as well. Raises ``NoTenantError`` where no tenant is current.
    """

    def __init__(self, *, salt: str) -> None:
        """``salt`` names what is signed, such as ``"invoice-link"``: a signature for one use is none for another."""
        super().__init__(salt=f"{required_alias()}:{salt}")
