"""The figures of requests, kept as JSON: the page and the picture can be drawn from them again."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

PAGE, DOCUMENT = "page", "document"
ENDPOINTS = {PAGE: "a page of 50 documents", DOCUMENT: "one document"}

PEER = "plain"


@dataclass(frozen=True)
class Turn:
    """What a contestant took in one round for so many requests: by the clock, and of its process's processor."""

    endpoint: str
    round: int
    contestant: str
    requests: int
    seconds: float
    cpu_seconds: float


@dataclass
class Results:
    """``contestants`` says of each what it is."""

    machine: dict[str, str]
    contestants: dict[str, str]
    turns: list[Turn] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Results:
        found = json.loads(path.read_text())
        return cls(found["machine"], found["contestants"], [Turn(**turn) for turn in found["turns"]])

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def of(self, endpoint: str, contestant: str) -> list[Turn]:
        """In the order of the rounds."""
        return [turn for turn in self.turns if (turn.endpoint, turn.contestant) == (endpoint, contestant)]

    def ms(self, endpoint: str, contestant: str) -> list[float]:
        """Milliseconds a request, of each round."""
        return [turn.seconds * 1000 / turn.requests for turn in self.of(endpoint, contestant)]

    def cpu_ms(self, endpoint: str, contestant: str) -> float:
        return statistics.median(turn.cpu_seconds * 1000 / turn.requests for turn in self.of(endpoint, contestant))

    def requests_a_second(self, endpoint: str, contestant: str) -> float:
        return 1000 / statistics.median(self.ms(endpoint, contestant))

    def times_of(self, endpoint: str, contestant: str, other: str = PEER) -> float:
        """How many times the other's time it takes: the median of the rounds, within which both took their turns."""
        both = zip(self.ms(endpoint, contestant), self.ms(endpoint, other), strict=True)
        return statistics.median(mine / theirs for mine, theirs in both)
