"""Which tenant is begun next: the servers take turns, each within its budget, so that none of them holds up another."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from tenants.errors import DiskFullError
from tenants.models import Server, Tenant
from tenants.models.rollout import AttemptState
from tenants.rollout.budget import Budget
from tenants.rollout.outcome import Outcome, describe
from tenants.rollout.policy import MAX_TRIES, Verdict, pause_before
from tenants.rollout.watcher import Stop

LOOK_S = 0.1
"""How often a waiting worker looks whether the rollout is halted: what halts it, such as a signal, wakes nobody."""


@dataclass
class Task:
    """A tenant to bring along, what became of its tries so far, and when the last was begun (monotonic seconds).

    ``setbacks`` are the tries that it may make only so many of; a server's trouble counts for none.
    """

    tenant: Tenant
    before: Outcome | None = None
    setbacks: int = 0
    begun_at: float = 0.0


@dataclass
class _Queue:
    """The tenants of one server that are not in hand: those to be begun, and those to be tried again, soonest first."""

    server: Server
    budget: Budget
    fresh: deque[Task] = field(default_factory=deque)
    again: list[tuple[float, int, Task]] = field(default_factory=list)
    closed_by: Outcome | None = None

    def __len__(self) -> int:
        return len(self.fresh) + len(self.again)

    def take(self, now: float) -> Task | None:
        """The next that may be begun; one that waited for another try goes first when its pause is over."""
        if not (self.closed_by or self.budget.may_begin(now)):
            return None
        if self.again and (self.closed_by or self.again[0][0] <= now):
            return heapq.heappop(self.again)[-1]
        return self.fresh.popleft() if self.fresh else None

    def put_back(self, task: Task, not_before: float) -> None:
        heapq.heappush(self.again, (not_before, id(task), task))

    def close(self, slug: str, outcome: Outcome) -> None:
        """Leave the server alone from here on, because of what became of one of its tenants."""
        failure = outcome.failure
        if failure is not None and outcome.verdict is Verdict.DISK_FULL:
            failure = describe(DiskFullError(f"so {slug} failed: {failure.message}", sqlstate=failure.sqlstate))
        self.closed_by = Outcome(AttemptState.FAILED, failure=failure, verdict=outcome.verdict)


class Scheduler:
    """Gives each worker its next tenant. A worker that would have to wait for one server is given a tenant of another.

    Speaks to no database. Gives none once it is halted or ``stop`` is asked, and none while ``may_begin`` says no.
    """

    def __init__(self, workers: int, stop: Stop, *, may_begin: Callable[[], bool]) -> None:
        self.stop = stop
        self._workers, self._may_begin = workers, may_begin
        self._halted = False
        self._queues: dict[int, _Queue] = {}
        self._turns: deque[_Queue] = deque()
        self._changed = threading.Condition()

    @property
    def is_halted(self) -> bool:
        return self._halted or self.stop.is_asked()

    def halt(self) -> None:
        """Begin no more tenants."""
        self._halted = True

    def add(self, tenants: Iterable[Tenant]) -> None:
        with self._changed:
            for tenant in tenants:
                self._queue_of(tenant.server).fresh.append(Task(tenant))

    def in_hand(self) -> list[Server]:
        """The servers that work is being done on."""
        with self._changed:
            return [queue.server for queue in self._turns if queue.budget.in_hand]

    def note_trouble(self, server: Server, outcome: Outcome) -> bool:
        """Hear how work on a server failed that was no tenant's; whether the server is left alone from here on."""
        with self._changed:
            queue, now = self._queue_of(server), time.monotonic()
            queue.budget.begin()
            queue.budget.end(outcome.verdict, begun_at=now, now=now)
            if queue.budget.is_closed:
                queue.close("its template", outcome)
            return queue.budget.is_closed

    def claim(self) -> Task | None:
        """The next tenant to try, as soon as there is one; None when nothing is left, or no more are to be begun."""
        with self._changed:
            while not self.is_halted:
                task = self._next(time.monotonic()) if self._may_begin() else None
                if task is not None:
                    return task
                if not any(len(queue) or queue.budget.in_hand for queue in self._turns):
                    return None
                self._changed.wait(LOOK_S)
        return None

    def refusal_of(self, task: Task) -> Outcome | None:
        """What becomes of a tenant whose server is left alone; None where it may be tried."""
        refusal, before = self._queue_of(task.tenant.server).closed_by, task.before
        if refusal is None or before is None:
            return refusal and replace(refusal, attempts=0)
        return replace(refusal, attempts=before.attempts, steps=before.steps, seconds=before.seconds)

    def give_back(self, task: Task, outcome: Outcome) -> bool:
        """Hear how a try ended. Whether that is the last word; otherwise the tenant waits for another try."""
        with self._changed:
            self._changed.notify_all()
            queue, now = self._queue_of(task.tenant.server), time.monotonic()
            queue.budget.end(outcome.verdict, begun_at=task.begun_at, now=now)
            if queue.budget.is_closed and queue.closed_by is None:
                queue.close(task.tenant.slug, outcome)
            task.before = outcome
            task.setbacks += outcome.verdict.is_setback
            if queue.closed_by or not outcome.may_pass or task.setbacks == MAX_TRIES:
                return True
            # What a server's trouble costs in waiting is its budget's to say.
            pause = pause_before(task.setbacks + 1) if outcome.verdict.is_setback else 0
            queue.put_back(task, now + pause)
            return False

    def _next(self, now: float) -> Task | None:
        for _ in range(len(self._turns)):
            queue = self._turns[0]
            self._turns.rotate(-1)
            task = queue.take(now)
            if task is not None:
                task.begun_at = now
                queue.budget.begin()
                return task
        return None

    def _queue_of(self, server: Server) -> _Queue:
        if server.pk not in self._queues:
            self._queues[server.pk] = _Queue(server, Budget(self._workers))
            self._turns.append(self._queues[server.pk])
        return self._queues[server.pk]
