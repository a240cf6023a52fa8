"""Where a request comes from."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from rest_framework.throttling import BaseThrottle

IPV6_PREFIX = 64
"""One line has so many addresses; each of them is not another sender."""


def sender_of(request: Any) -> str:
    """The sender's address; X-Forwarded-For counts as far as ``TRUSTED_PROXIES`` says. Of IPv6, the line's network."""
    ident = str(BaseThrottle().get_ident(request) or "")
    try:
        address = ip_address(ident)
    except ValueError:
        return ident
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return ident
