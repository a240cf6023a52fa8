"""In which order tenants are migrated: a canary first, then waves that grow, the servers of each in turn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, zip_longest

import psycopg2

from tenants.databases.sessions import maintenance
from tenants.errors import RolloutRefusedError
from tenants.models import Tenant

CANARY = "canary"


@dataclass(frozen=True)
class Canary:
    """The tenants that go first: so many, a share of all, or the named ones."""

    number: int | None = None
    percent: float | None = None
    slugs: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Canary:
        """``3``, ``5%`` or ``acme,globex``. Raises ``ValueError``."""
        if text.isdecimal():
            if int(text) < 1:
                raise ValueError("a canary has at least one tenant")
            return cls(number=int(text))
        if text.endswith("%"):
            return cls(percent=percent(text))
        slugs = tuple(slug for slug in text.split(",") if slug)
        if not slugs:
            raise ValueError(f"{text!r} is neither a number, nor a share such as 5%, nor slugs with commas")
        return cls(slugs=slugs)

    def __str__(self) -> str:
        if self.slugs:
            return ",".join(self.slugs)
        return f"{self.percent:g}%" if self.percent is not None else str(self.number)

    def of(self, tenants: list[Tenant], sizes: Mapping[str, int]) -> list[Tenant]:
        """The canary among these tenants; ``sizes`` are bytes by alias: the smallest go first, the unknown last."""
        if self.slugs:
            known = {tenant.slug: tenant for tenant in tenants}
            missing = sorted(set(self.slugs) - set(known))
            if missing:
                raise RolloutRefusedError(f"the canary names {', '.join(missing)}, which is not among the selected")
            return [known[slug] for slug in dict.fromkeys(self.slugs)]
        count = self.number if self.number is not None else math.ceil(len(tenants) * (self.percent or 0) / 100)
        return sorted(tenants, key=lambda tenant: (sizes.get(tenant.alias, math.inf), tenant.slug))[:count]


@dataclass(frozen=True)
class Wave:
    """Tenants that are migrated before any of the next wave is begun."""

    title: str
    tenants: tuple[Tenant, ...]


def parse_waves(text: str) -> tuple[float, ...]:
    """``5%,25%,100%``: shares of all tenants that have been migrated after each wave. Raises ``ValueError``."""
    shares = tuple(percent(part) for part in text.split(","))
    if list(shares) != sorted(set(shares)) or shares[-1] != 100:
        raise ValueError(f"{text!r} does not grow to 100%, as 5%,25%,100% does")
    return shares


def percent(text: str) -> float:
    """``5%`` as 5.0. Raises ``ValueError``."""
    number = text.strip().removesuffix("%")
    if not text.strip().endswith("%") or not number.replace(".", "", 1).isdecimal() or not 0 < float(number) <= 100:
        raise ValueError(f"{text!r} is not a share such as 5%")
    return float(number)


def in_waves(tenants: list[Tenant], canary: Canary | None, shares: tuple[float, ...]) -> list[Wave]:
    """All tenants, each in one wave. Raises ``RolloutRefusedError`` where the canary names one that is not selected."""
    waves: list[Wave] = []
    remaining = tenants
    if canary is not None:
        first = canary.of(tenants, {} if canary.slugs else sizes_of(tenants))
        waves.append(Wave(CANARY, tuple(first)))
        chosen = {tenant.pk for tenant in first}
        remaining = [tenant for tenant in tenants if tenant.pk not in chosen]
    remaining = by_server_in_turn(remaining)
    done = len(tenants) - len(remaining)
    for share in shares or (100.0,):
        upto = max(0, math.ceil(len(tenants) * share / 100) - done)
        if remaining[:upto]:
            waves.append(Wave(f"{share:g}%", tuple(remaining[:upto])))
        remaining, done = remaining[upto:], done + len(remaining[:upto])
    return waves


def by_server_in_turn(tenants: Iterable[Tenant]) -> list[Tenant]:
    """One of each server, then the next of each, so that no server has all the work at once."""
    of_server: dict[int, list[Tenant]] = {}
    for tenant in tenants:
        of_server.setdefault(tenant.server_id, []).append(tenant)
    rows = zip_longest(*of_server.values())
    return [tenant for tenant in chain.from_iterable(rows) if tenant is not None]


def sizes_of(tenants: Iterable[Tenant]) -> dict[str, int]:
    """Bytes of each tenant's database, by alias; one query a server. Not of those that take no sessions now."""
    sizes: dict[str, int] = {}
    servers = {tenant.server_id: tenant.server for tenant in tenants}
    for server in servers.values():
        aliases = [tenant.alias for tenant in tenants if tenant.server_id == server.pk]
        with suppress(psycopg2.OperationalError), maintenance(server) as cursor:
            cursor.execute(
                "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datname = ANY(%s) AND datallowconn",
                [aliases],
            )
            sizes.update({name: int(size) for name, size in cursor.fetchall()})
    return sizes
