"""Tenants whose schema is not what their recorded migrations make."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from django.db import connections

from tenants.databases import bookkeeping, schema
from tenants.databases.bookkeeping import MigrationKey
from tenants.databases.refusal import why_refused
from tenants.databases.sessions import SessionLimits, owner_session
from tenants.models import Tenant
from tenants.rollout.heads import key_of
from tenants.rollout.outcome import Outcome
from tenants.rollout.templates import reference_schema

SYNTAX_OR_ACCESS_CLASS = "42"
"""SQLSTATE class of "column already exists", "table does not exist" and the like: what drift looks like to DDL."""


@dataclass(frozen=True)
class Drift:
    """What a tenant's schema lacks and has beyond its migrations; or ``error``, where it cannot be told."""

    tenant: str
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    error: str | None = None

    def __str__(self) -> str:
        return str(schema.SchemaDifference(self.missing, self.added))


@dataclass(frozen=True)
class _Look:
    applied: tuple[MigrationKey, ...]
    lines: list[str]


def find_drift(tenants: Iterable[Tenant], *, workers: int) -> list[Drift]:
    """The tenants in service that differ, with the difference. Changes no tenant.

    The schema to compare with is a template's; for a head that has none, one is made.
    """
    asked = [tenant for tenant in tenants if tenant.state == Tenant.State.ACTIVE]
    expected: dict[str, list[str]] = {}
    drifted = []
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="silo-drift") as pool:
        for tenant, found in zip(asked, pool.map(_look, asked), strict=True):
            drift = _compare(tenant, found, expected)
            if drift is not None:
                drifted.append(drift)
    return drifted


def explained(tenant: Tenant, outcome: Outcome) -> Outcome:
    """Where DDL met something it did not expect, look whether the schema has drifted, and name the difference."""
    failure = outcome.failure
    if failure is None or not failure.migration or not (failure.sqlstate or "").startswith(SYNTAX_OR_ACCESS_CLASS):
        return outcome
    found = find_drift([tenant], workers=1)
    if not found or found[0].error:
        return outcome
    message = f"{failure.message}\nIts schema is not what its recorded migrations make:\n{found[0]}"
    return replace(outcome, failure=replace(failure, message=message))


def _look(tenant: Tenant) -> _Look | Exception:
    try:
        with owner_session(tenant, limits=SessionLimits(read_only=True)) as connection:
            try:
                return _Look(bookkeeping.read(connection).applied, schema.fingerprint(connection))
            except Exception as error:
                refusal = why_refused(tenant, connection, error)
                if refusal is None:
                    raise
                raise refusal from error
    except Exception as error:
        return error
    finally:
        connections.close_all()


def _compare(tenant: Tenant, found: _Look | Exception, expected: dict[str, list[str]]) -> Drift | None:
    """Runs in the calling thread: making a template speaks to main."""
    try:
        if isinstance(found, Exception):
            raise found
        key = key_of(found.applied)
        if key not in expected:
            expected[key] = reference_schema(tenant, found.applied)
    except Exception as error:
        return Drift(tenant.slug, error=f"{type(error).__name__}: {error}")
    difference = schema.compare(expected[key], found.lines)
    return Drift(tenant.slug, difference.missing, difference.added) if difference else None
