"""What is not as it should be, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg2
from django.db import DatabaseError

from tenants.errors import TenantError

ROUNDS = 3
"""Mending one thing may lay bare another: a role that was missing lacks its password next."""

Execute = Callable[[str], None]
"""Runs one statement where the look was taken: on the server, or inside the tenant's database."""


@dataclass(frozen=True)
class Finding:
    """``problem`` is said in the same words for each ``subject``: a tenant's slug, or a database's or role's name.

    ``statement`` mends it without loss, or else ``mend`` does. ``by_hand`` is what a person has to do otherwise.
    """

    problem: str
    subject: str
    statement: str = ""
    by_hand: str = ""
    mend: Callable[[], object] | None = field(default=None, compare=False)
    why_not: str = field(default="", compare=False)
    """What PostgreSQL said when it was to be mended."""

    @property
    def can_be_mended(self) -> bool:
        return bool(self.statement or self.mend)

    def as_subject(self, name: str) -> Finding:
        return replace(self, subject=name)


@dataclass(frozen=True)
class Findings:
    """Those that were mended, and those that are left."""

    mended: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        return Findings(self.mended + other.mended, self.left + other.left)


def settle(look: Callable[[], list[Finding]], execute: Execute, *, fix: bool) -> Findings:
    """Look; with ``fix`` mend what can be mended, and look again whether it is."""
    left, mended, why_not = look(), list[Finding](), dict[Finding, str]()
    for _ in range(ROUNDS if fix else 0):
        mendable = [finding for finding in left if finding.can_be_mended]
        if not mendable:
            break
        for finding in mendable:
            try:
                finding.mend() if finding.mend else execute(finding.statement)
            except (psycopg2.Error, DatabaseError, TenantError) as error:
                why_not[finding] = str(error).strip().partition("\n")[0]
        now = look()
        still = set(now)
        mended += [finding for finding in left if finding not in still]
        left = now
    return Findings(tuple(mended), tuple(replace(one, why_not=why_not.get(one, "")) for one in left))


def from_rows(rows: Iterable[tuple[Any, ...]]) -> list[Finding]:
    """Rows of subject, problem, statement that mends it, and what to do by hand; the last two may be null."""
    return [Finding(problem, subject, statement or "", by_hand or "") for subject, problem, statement, by_hand in rows]
