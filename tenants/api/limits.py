"""How many requests a minute: of one user, and to one tenant. The sender is told with each reply what is left.

Counted in the cache ``limits`` in windows of a minute by the clock, so two bursts around the full minute may together
be twice the limit. A request counts once it has passed authentication and permissions: a stranger cannot use up what a
tenant's members have. Without ``RATE_LIMIT_CACHE_URL`` each process counts for itself.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10. ``RateLimit-Policy: "user";q=6000;w=60`` says what is
allowed (``q`` requests in ``w`` seconds), ``RateLimit: "user";r=5999;t=42`` what is left (``r``), and for how long
(``t``).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import caches
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

if TYPE_CHECKING:
    # Not at run time: the module of APIView reads the settings, which name the classes of this one.
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)

WINDOW_S = 60


class Limit(BaseThrottle):
    """A number of requests in each window, for all that share ``who``."""

    name: str
    setting: str
    clock = staticmethod(time.time)

    def who(self, request: Request) -> str | None:
        """Whose requests are counted together; None where this limit does not concern the request."""
        raise NotImplementedError

    def allow_request(self, request: Request, view: APIView) -> bool:
        allowed: int = getattr(settings, self.setting)
        who = self.who(request)
        if not allowed or who is None:
            return True
        now = self.clock()
        self.left_s = WINDOW_S - int(now) % WINDOW_S
        used = _count(f"silo:limit:{self.name}:{who}:{int(now) // WINDOW_S}")
        _tell(view, "RateLimit-Policy", f'"{self.name}";q={allowed};w={WINDOW_S}')
        _tell(view, "RateLimit", f'"{self.name}";r={max(0, allowed - used)};t={self.left_s}')
        return used <= allowed

    def wait(self) -> int:
        return self.left_s


class UserLimit(Limit):
    """Of one user, in all tenants; of one address where nobody is logged in."""

    name = "user"
    setting = "USER_REQUESTS_PER_MINUTE"

    def who(self, request: Request) -> str:
        # With letters and digits only, as not every cache takes what else an address may have.
        return request.user.pk.hex if request.user.is_authenticated else str(self.get_ident(request)).encode().hex()


class TenantLimit(Limit):
    """Of all users together, to one tenant."""

    name = "tenant"
    setting = "TENANT_REQUESTS_PER_MINUTE"

    def who(self, request: Request) -> str | None:
        membership = getattr(request, "membership", None)
        return membership.tenant_id.hex if membership is not None else None


def _count(key: str) -> int:
    """Count one more, and say how many there were in this window."""
    try:
        cache = caches["limits"]
        # `incr` is one step in the cache, where reading and writing a list of times would lose some.
        cache.add(key, 0, timeout=2 * WINDOW_S)
        return cache.incr(key)
    except Exception:
        # The counter's outage must not be one of the API: nobody is limited meanwhile.
        logger.exception("The cache of the rate limits does not answer")
        return 0


def _tell(view: APIView, header: str, item: str) -> None:
    """Add an item to a header of the reply, also where the reply will be a refusal."""
    before = view.headers.get(header)
    view.headers[header] = f"{before}, {item}" if before else item
