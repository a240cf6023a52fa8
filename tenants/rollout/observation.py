"""What was seen of a group's plan when it was tried."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tenants.rollout.lint import Finding
from tenants.rollout.locks import LockMode, TableLock


@dataclass(frozen=True)
class Observation:
    """What one operation does to tables that the group's tenants have; those that the plan makes block nobody.

    ``statements`` is the SQL that was run. ``documented``: the lock is told from PostgreSQL's documentation.
    ``error`` says why it could not be observed.
    """

    locks: tuple[TableLock, ...] = ()
    statements: tuple[str, ...] = ()
    runs_python: bool = False
    documented: bool = False
    error: str | None = None
    findings: tuple[Finding, ...] = ()

    def and_then(self, later: Observation) -> Observation:
        """This and what the operation does later, when the migration's deferred SQL is run."""
        joined: dict[str, TableLock] = {}
        for lock in (*self.locks, *later.locks):
            joined[lock.table] = joined[lock.table].joined_with(lock) if lock.table in joined else lock
        statements = (*self.statements, *later.statements)
        return replace(self, locks=tuple(joined.values()), statements=statements, error=self.error or later.error)

    def with_findings(self, findings: tuple[Finding, ...]) -> Observation:
        """What locks nothing that is in use breaks nothing that runs, whatever the linters say of it."""
        return replace(self, findings=findings) if self.locks or self.error else self

    @property
    def holds_access_exclusive(self) -> bool:
        return any(lock.mode is LockMode.ACCESS_EXCLUSIVE for lock in self.locks)


@dataclass(frozen=True)
class Observed:
    """What was seen of a group's plan: for each migration its operations, in the plan's order.

    ``notes`` are about the linters. ``error`` says why nothing could be observed; then ``migrations`` is empty.
    """

    migrations: tuple[tuple[Observation, ...], ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def operations(self) -> list[Observation]:
        return [operation for migration in self.migrations for operation in migration]
