"""What a rollout is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tenants.rollout.policy import MaxFailures
from tenants.rollout.selection import Selection
from tenants.rollout.target import Before, Target
from tenants.rollout.waves import Canary
from tenants.rollout.worker import WorkOptions

if TYPE_CHECKING:
    from accounts.models import User

DEFAULT_WORKERS = 4


@dataclass(frozen=True)
class Request:
    """A target, the tenants to bring there, and how.

    ``asked`` is the app and migration as they were named; ``origin`` the id of the rollout that this one goes on with.
    """

    target: Target
    selection: Selection = field(default_factory=Selection)
    workers: int = DEFAULT_WORKERS
    on_error: str = "stop"
    max_failures: MaxFailures | None = None
    canary: Canary | None = None
    waves: tuple[float, ...] = ()
    work: WorkOptions = field(default_factory=WorkOptions)
    started_by: User | None = None
    asked: tuple[str | None, str | None] = (None, None)
    origin: str | None = None

    @property
    def moves_fleet(self) -> bool:
        """Whether new tenants are made elsewhere once it has succeeded."""
        if isinstance(self.target, Before):
            return bool(self.target.fleet)
        return self.selection.is_whole_fleet

    def as_json(self) -> dict[str, Any]:
        """What the ledger keeps, so that the rollout can be gone on with."""
        app_label, migration = self.asked
        return {
            "app_label": app_label,
            "migration": migration,
            "origin": self.origin,
            "rolls_back": asdict(self.target) if isinstance(self.target, Before) else None,
            "selection": self.selection.as_json(),
            "workers": self.workers,
            "on_error": self.on_error,
            "max_failures": str(self.max_failures) if self.max_failures else None,
            "canary": str(self.canary) if self.canary else None,
            "waves": ",".join(f"{share:g}%" for share in self.waves) or None,
            "fake": self.work.fake,
            "lock_timeout_ms": self.work.limits.lock_timeout / timedelta(milliseconds=1),
            "statement_timeout_ms": self.work.limits.statement_timeout / timedelta(milliseconds=1),
        }
