"""How far a command is that takes tenant after tenant: plain lines on stderr, now and then."""

from __future__ import annotations

import sys
import time

from tenants.rollout.progress import LINE_EVERY_S, count


class Counter:
    """Counts what is done of ``total`` tenants, and says so if it takes long."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._began = self._said = time.monotonic()

    def step(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said > LINE_EVERY_S:
            self._said = now
            rate = self._done / (now - self._began)
            sys.stderr.write(f"{self._done:,} of {count(self._total, 'tenant')}, {rate:.0f} a second\n")
