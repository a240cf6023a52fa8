"""How often one may try."""

from __future__ import annotations

import hashlib

from django.core.cache import caches
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, SimpleRateThrottle
from rest_framework.views import APIView


class RegistrationThrottle(AnonRateThrottle):
    """Thirty new accounts a minute from one address."""

    cache = caches["limits"]

    scope = "register"
    rate = "30/min"


class FailedLoginThrottle(SimpleRateThrottle):
    """Ten wrong passwords a minute for one email, wherever they come from. Logins that succeed are not counted."""

    cache = caches["limits"]

    scope = "login"
    rate = "10/min"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        email = request.data.get("email") if isinstance(request.data, dict) else None
        if not isinstance(email, str):
            return None
        # Hashed: whatever is typed makes a key that every cache takes.
        ident = hashlib.sha256(email.strip().lower().encode(errors="replace")).hexdigest()
        return self.cache_format % {"scope": self.scope, "ident": ident}

    def throttle_success(self) -> bool:
        return True

    def count_failure(self) -> None:
        """Call after ``allow_request`` when the password was wrong."""
        self.history.insert(0, self.now)
        self.cache.set(self.key, self.history, self.duration)  # type: ignore[attr-defined]  # missing in the stubs
