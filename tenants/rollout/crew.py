"""The threads of a rollout. They speak to tenants only; whoever reads their results speaks to main and to people."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connections

from tenants.models import Tenant
from tenants.models.rollout import AttemptState
from tenants.rollout.outcome import Outcome, describe
from tenants.rollout.scheduler import Scheduler, Task

BEAT_S = 0.5


@dataclass(frozen=True)
class Result:
    """What became of a tenant for good. A worker that brings a failure goes on when it is ``judged``."""

    tenant: Tenant
    outcome: Outcome
    judged: threading.Event = field(default_factory=threading.Event)


@contextmanager
def at_work(scheduler: Scheduler, attempt: Callable[[Task], Outcome], size: int) -> Iterator[Iterator[Result | None]]:
    """Have so many threads claim tenants until none is left. Gives each result, and None at least every ``BEAT_S``.

    Leaving early, by an error, begins no more tenants, and waits for those in hand.
    """
    results: queue.SimpleQueue[Result | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            while (task := scheduler.claim()) is not None:
                try:
                    outcome = attempt(task)
                except Exception as error:
                    # What is given back by nobody would be waited for by all.
                    outcome = Outcome(AttemptState.FAILED, failure=describe(error))
                if scheduler.give_back(task, outcome):
                    result = Result(task.tenant, outcome)
                    results.put(result)
                    # Not before the main thread has said whether this failure was one too many.
                    while outcome.failure is not None and not (result.judged.wait(BEAT_S) or scheduler.is_halted):
                        pass
        finally:
            try:
                connections.close_all()
            finally:
                results.put(None)  # or whoever reads the results would wait for ever

    threads = [threading.Thread(target=work, name=f"silo-rollout-{number}", daemon=True) for number in range(size)]
    for thread in threads:
        thread.start()
    try:
        yield _results(results, len(threads))
    except BaseException:
        scheduler.halt()
        raise
    finally:
        for thread in threads:
            thread.join()


def _results(results: queue.SimpleQueue[Result | None], working: int) -> Iterator[Result | None]:
    while working:
        try:
            result = results.get(timeout=BEAT_S)
        except queue.Empty:
            yield None
            continue
        if result is None:
            working -= 1
        else:
            yield result
