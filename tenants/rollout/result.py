"""How a rollout went."""

from __future__ import annotations

from dataclasses import dataclass, field

from tenants.models import Tenant
from tenants.models.rollout import AttemptState
from tenants.rollout.outcome import Failure, Outcome


@dataclass(frozen=True)
class TenantFailure:
    """A failure and whose it is; ``tenant`` is None for the template's."""

    tenant: str | None
    failure: Failure
    attempts: int


@dataclass
class Report:
    """How a rollout went. ``state`` is ``succeeded``, ``failed``, ``interrupted`` or ``nothing_to_do``.

    ``skipped`` has slugs and why; the counts of all are in ``counts``. ``lost`` says how the main database was lost, ""
    where it was not.
    """

    target: str
    rollout: str | None = None
    state: str = "nothing_to_do"
    total: int = 0
    counts: dict[AttemptState, int] = field(default_factory=lambda: dict.fromkeys(AttemptState, 0))
    seconds: float = 0.0
    failures: list[TenantFailure] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    signal: int | None = None
    aborted_by: str | None = None
    lost: str = ""

    @property
    def pending(self) -> int:
        return self.total - sum(self.counts.values())

    def add(self, tenant: Tenant | None, outcome: Outcome) -> None:
        if tenant is not None:
            self.counts[outcome.state] += 1
            if outcome.state == AttemptState.SKIPPED:
                self.skipped.append((tenant.slug, outcome.reason))
        if outcome.failure is not None:
            slug = tenant.slug if tenant is not None else None
            self.failures.append(TenantFailure(slug, outcome.failure, outcome.attempts))
