"""The figures of one benchmark, kept as JSON: the page and the picture can be drawn from them again."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

EMPTY_FLEET = "empty fleet"
ROLLOUT = "rollout"
NOTHING_TO_DO = "nothing to do"


@dataclass(frozen=True)
class Run:
    """One process of one contestant over a fleet of so many tenants."""

    phase: str
    tenants: int
    contestant: str
    seconds: float
    peak_mib: float


@dataclass
class Results:
    """``machine`` is what it ran on, by name: the processor, the versions."""

    machine: dict[str, str]
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Results:
        found = json.loads(path.read_text())
        return cls(found["machine"], [Run(**run) for run in found["runs"]])

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @property
    def sizes(self) -> list[int]:
        return sorted({run.tenants for run in self.runs if run.phase == ROLLOUT})

    @property
    def contestants(self) -> list[str]:
        """In the order of their first turns."""
        return list(dict.fromkeys(run.contestant for run in self.runs))

    def of(self, phase: str, tenants: int, contestant: str) -> list[Run]:
        return [run for run in self.runs if (run.phase, run.tenants, run.contestant) == (phase, tenants, contestant)]

    def median_s(self, phase: str, tenants: int, contestant: str) -> float:
        return statistics.median(run.seconds for run in self.of(phase, tenants, contestant))

    def ms_a_tenant(self, phase: str, tenants: int, contestant: str) -> float:
        return self.median_s(phase, tenants, contestant) * 1000 / tenants

    def peak_mib(self, phase: str, tenants: int, contestant: str) -> float:
        return max(run.peak_mib for run in self.of(phase, tenants, contestant))
