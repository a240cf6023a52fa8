"""How a request says whose it is: `Authorization: Token ...`."""

from __future__ import annotations

from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import Token, User


class TokenAuthentication(KnoxAuthentication):
    """knox's, for which any bytes are a token that may be wrong; and one query by the digest, which is the key.

    knox itself looks for the token's beginning, and then at all other tokens of its user, for some that have expired:
    the more often a program logs in, the more each of its requests would cost.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, Token]:
        found = self.find(hash_token(token.decode())) if token.isalnum() else None
        if found is None or found.has_expired:
            raise AuthenticationFailed("Invalid token.")
        who: tuple[User, Token] = self.validate_user(found)
        return who

    def find(self, digest: str) -> Token | None:
        """The token with this digest, and its user."""
        try:
            return Token.objects.select_related("user").get(pk=digest)
        except Token.DoesNotExist:
            return None


class TokenScheme(KnoxTokenScheme):
    """The same in the OpenAPI."""

    target_class = "accounts.api.authentication.TokenAuthentication"
    match_subclasses = True
