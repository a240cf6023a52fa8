"""How far a command is that takes tenant after tenant: plain lines on stderr, now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tenants.rollout.progress import LINE_EVERY_S, count

Item = TypeVar("Item")


def counted(items: Iterable[Item], total: int) -> Iterator[Item]:
    """The same items; says how many there were so far, if it takes long."""
    began = said = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said > LINE_EVERY_S:
            said = now
            rate = done / (now - began)
            sys.stderr.write(f"{done:,} of {count(total, 'tenant')}, {rate:.0f} a second\n")
