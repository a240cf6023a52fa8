"""Who watches a rollout, and who may stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from tenants.models import Tenant
from tenants.models.rollout import Wish
from tenants.rollout.outcome import Outcome


class Watcher(Protocol):
    """Hears how a rollout goes. Called in the main thread."""

    def begun(self, rollout_id: str | None, title: str, total: int) -> None: ...

    def wave(self, title: str, number: int, of: int, tenants: int) -> None: ...

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None: ...

    def wished(self, wish: Wish, by: str) -> None: ...


class Silent:
    """A watcher that says nothing."""

    def begun(self, rollout_id: str | None, title: str, total: int) -> None: ...

    def wave(self, title: str, number: int, of: int, tenants: int) -> None: ...

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None: ...

    def wished(self, wish: Wish, by: str) -> None: ...


class Stop:
    """Asks a rollout to begin nothing more, and, asked again, to cancel what is in hand. Any thread may ask.

    ``cancel`` is the rollout's to say.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal: int | None = None
        self.is_urgent = False
        self.cancel: Callable[[], None] = lambda: None

    def ask(self, signal: int | None = None) -> None:
        self.is_urgent = self.is_asked()
        self.signal = self.signal or signal
        self._event.set()
        if self.is_urgent:
            self.cancel()

    def wait(self, seconds: float) -> bool:
        """Whether it was asked before that time was over."""
        return self._event.wait(seconds)

    def is_asked(self) -> bool:
        return self._event.is_set()
