"""Who takes part: processes that answer the same requests, each with Silo or the peer, on a main database."""

from __future__ import annotations

from dataclasses import dataclass

SILO, PLAIN = "benchmarks.requests.settings", "benchmarks.requests.plain.settings"

FEW, POOLED, IN_TURN = 10, 20, 120
"""Tenants that fit the default pool; that pool's size; and how many can be held, where a server has 200 connections."""

DOCUMENTS = 50
"""In each tenant, and in the peer's database: a page of them by default."""


@dataclass(frozen=True)
class Database:
    """A main database. The plain one's tenants are rows only; the many have more registered than are real."""

    name: str
    settings: str


ONE, TEN, MANY = Database("plain", PLAIN), Database("ten", SILO), Database("many", SILO)


@dataclass(frozen=True)
class Contestant:
    """Asked for ``tenants`` of its database in turn, with a pool of ``pool`` connections."""

    name: str
    what: str
    database: Database
    tenants: int
    pool: int = POOLED
    below: str = "/api/v1/"


def contestants(registered: int, real: int) -> list[Contestant]:
    """The peer first: the others are compared with it."""
    in_turn = min(real, IN_TURN)
    return [
        Contestant("plain", "one plain Django database, the same view; one query more asks who is a member", ONE, 1),
        Contestant("plain, for all", "the same, and does not ask who is a member", ONE, 1, below="/api/all/"),
        Contestant(f"silo, {FEW}", f"Silo with {FEW} tenants, asked in turn", TEN, FEW),
        Contestant(f"silo, {registered:,}", f"Silo with {registered:,}, {FEW} of them asked in turn", MANY, FEW),
        Contestant(
            f"silo, 1 of {registered:,}",
            f"Silo with {registered:,}, one of them asked again and again, as the plain database is",
            MANY,
            1,
        ),
        Contestant(
            f"silo, {in_turn} in turn",
            f"Silo with {registered:,}, {in_turn} of them asked in turn, each with a connection in a pool of {in_turn}",
            MANY,
            in_turn,
            pool=in_turn,
        ),
        Contestant(
            "silo, connecting",
            f"Silo with {registered:,}, {real} of them asked in turn with a pool of {POOLED}: each must connect",
            MANY,
            real,
        ),
    ]
