"""Which tenant a request names. Each resolver reads one part of a request and gives a slug, or None."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest

TENANT_HEADER = "X-Tenant"
_PATH = re.compile(r"^/api/v1/tenants/(?P<slug>[^/]+)/")


def from_path(request: HttpRequest) -> str | None:
    """``/api/v1/tenants/acme/...`` names acme."""
    match = _PATH.match(request.path_info)
    return match["slug"] if match else None


def from_host(request: HttpRequest) -> str | None:
    """``acme.example.com`` names acme where ``TENANT_DOMAIN`` is ``example.com``.

    Reads the host that Django has validated against ``ALLOWED_HOSTS``; a forwarded one counts only where Django is
    told to trust it.
    """
    domain = settings.TENANT_DOMAIN
    if not domain:
        return None
    host = request.get_host().rsplit(":", 1)[0].lower().rstrip(".")
    return host.removesuffix(f".{domain}") if host.endswith(f".{domain}") else None


def from_header(request: HttpRequest) -> str | None:
    """``X-Tenant: acme`` names acme."""
    return request.headers.get(TENANT_HEADER)


RESOLVERS = (from_path, from_host, from_header)
