"""Who watches a rollout, and who may stop it."""

from __future__ import annotations

import threading
from typing import Protocol

from tenants.models import Tenant
from tenants.rollout.worker import Outcome


class Watcher(Protocol):
    """Hears how a rollout goes. Called in the main thread."""

    def begun(self, rollout_id: str | None, title: str, total: int) -> None: ...

    def wave(self, title: str, number: int, of: int, tenants: int) -> None: ...

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None: ...


class Silent:
    """A watcher that says nothing."""

    def begun(self, rollout_id: str | None, title: str, total: int) -> None: ...

    def wave(self, title: str, number: int, of: int, tenants: int) -> None: ...

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None: ...


class Stop:
    """Asks a rollout to begin no more tenants. Migrations in hand are finished or rolled back."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal: int | None = None

    def ask(self, signal: int | None = None) -> None:
        self.signal = self.signal or signal
        self._event.set()

    def is_asked(self) -> bool:
        return self._event.is_set()
