"""How a rollout goes, while it goes: plain lines here, and in `live` what moves on a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from typing import TextIO

from tenants.models import Tenant
from tenants.models.rollout import Wish
from tenants.rollout.outcome import Outcome
from tenants.rollout.watcher import Watcher

LINE_EVERY_S = 5.0
SHOWN_AT_ONCE = 20
"""So many failures are shown as they happen; the summary has them all, equal ones as one."""


class Progress(Watcher, AbstractContextManager["Progress"]):
    """A watcher that shows what it hears, while inside."""


class LineProgress(Progress):
    """Plain lines where there is no terminal: the beginning, each wave and failure, and now and then how far it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._total = self._done = self._failed = 0
        self._said, self._done_then = time.monotonic(), 0

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def begun(self, rollout_id: str | None, title: str, total: int) -> None:
        self._total = total
        self._say(f"rollout {rollout_id} to {title}: {count(total, 'tenant')}")

    def wave(self, title: str, number: int, of: int, tenants: int) -> None:
        self._say(f"wave {number} of {of} ({title}): {count(tenants, 'tenant')}")

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None:
        self._done += tenant is not None
        if outcome.failure is not None:
            self._failed += 1
            if self._failed <= SHOWN_AT_ONCE:
                self._say(failure_line(tenant, outcome))
        elif time.monotonic() - self._said > LINE_EVERY_S:
            self._say_how_far()

    def wished(self, wish: Wish, by: str) -> None:
        self._say(wish_line(wish, by))

    def _say_how_far(self) -> None:
        rate = (self._done - self._done_then) / (time.monotonic() - self._said)
        failed = f", {self._failed} failed" if self._failed else ""
        left = f", about {(self._total - self._done) / rate:.0f} s left" if rate else ""
        self._say(f"{self._done} of {count(self._total, 'tenant')}{failed}, {rate:.0f} a second{left}")

    def _say(self, line: str) -> None:
        self._said, self._done_then = time.monotonic(), self._done
        print(line, file=self._stream, flush=True)


def progress(stream: TextIO | None = None) -> Progress:
    """The display that fits the stream (default: stderr)."""
    stream = stream or sys.stderr
    if not stream.isatty():
        return LineProgress(stream)
    # Only here: a script would wait for it as long as for ten tenants.
    from tenants.rollout.live import LiveProgress

    return LiveProgress(stream)


def failure_line(tenant: Tenant | None, outcome: Outcome) -> str:
    """A failure in one line; the summary has all that its message says."""
    failure = outcome.failure
    assert failure is not None
    where = f" in {failure.migration}" if failure.migration else ""
    first, _, _ = failure.message.partition("\n")
    return f"{tenant.slug if tenant else 'the template'} failed{where}: {failure.error}: {first}"


def wish_line(wish: Wish, by: str) -> str:
    if wish == Wish.PAUSE:
        return f"paused by {by}; `manage.py tenants rollout continue` goes on with it"
    if wish == Wish.ABORT:
        return f"aborted by {by}; tenants in hand are brought to their target"
    return f"goes on, as {by} said"


def count(number: int, noun: str) -> str:
    """``1 tenant``, ``2 tenants``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
