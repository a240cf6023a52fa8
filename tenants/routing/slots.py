"""Who may have a session with a tenant's database: the pool's bookkeeping, with no thread and no socket in it."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenants.routing.session import Session


@dataclass(frozen=True)
class Limits:
    size: int
    per_tenant: int
    idle_age_s: float
    wait_s: float


@dataclass
class Counts:
    """Since the process began."""

    opened: int = 0
    reused: int = 0
    evicted: int = 0
    found_dead: int = 0
    timed_out: int = 0
    waited_seconds: float = 0.0


@dataclass(frozen=True)
class Grant:
    """Leave to have a session: an idle one, or one to be opened, after another was closed for it where there is one."""

    idle: Session | None = None
    instead_of: Session | None = None


@dataclass(eq=False)
class Waiter:
    """Somebody who wants a session with ``alias`` that was opened with ``params``."""

    alias: str
    params: dict[str, Any] = field(repr=False)  # a password is in it
    grant: Grant | None = None
    ready: threading.Event = field(default_factory=threading.Event)


class Slots:
    """Sessions that are open, idle, or wanted. The pool calls it under its lock."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.counts = Counts()
        self.waiting: deque[Waiter] = deque()
        self._sessions: set[Session] = set()
        self._idle: OrderedDict[Session, None] = OrderedDict()
        """Idle the longest first."""
        self._idle_of: dict[str, list[Session]] = {}
        self._used: Counter[str] = Counter()
        """Sessions by tenant, those that are being opened or closed included."""

    def __contains__(self, session: Session) -> bool:
        return session in self._sessions

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def in_use(self) -> int:
        return self._used.total() - self.idle

    def ask(self, alias: str, params: dict[str, Any]) -> Grant | Waiter:
        """Leave at once, where nobody waits and there is room; else a place among those who wait."""
        if not self.waiting and (grant := self._grant(alias, params)) is not None:
            return grant
        waiter = Waiter(alias, params)
        self.waiting.append(waiter)
        self.serve()
        return waiter

    def serve(self) -> None:
        """Grant to those who wait, the first first, as long as there is room."""
        for waiter in list(self.waiting):
            if not self._idle and self._used.total() >= self.limits.size:
                return
            waiter.grant = self._grant(waiter.alias, waiter.params)
            if waiter.grant is not None:
                self.waiting.remove(waiter)
                waiter.ready.set()

    def add(self, session: Session) -> None:
        """One was opened, on a slot that was granted."""
        self._sessions.add(session)

    def remove(self, session: Session) -> bool:
        """One was closed; its slot is still taken. Whether it was one of ours: not, where a fork inherited it."""
        known = session in self._sessions
        self._sessions.discard(session)
        return known

    def release(self, alias: str) -> None:
        """Give a slot free."""
        self._release(alias)
        self.serve()

    def lay_idle(self, session: Session) -> None:
        session.idle_since = time.monotonic()
        self._idle[session] = None
        self._idle_of.setdefault(session.alias, []).append(session)
        self.serve()

    def pop_expired(self) -> list[Session]:
        """Those that are idle for too long, to be closed."""
        until = time.monotonic() - self.limits.idle_age_s
        expired = []
        while (oldest := next(iter(self._idle), None)) is not None and oldest.idle_since <= until:
            expired.append(self._pick_up(oldest))
        return expired

    def condemn(self, alias: str) -> list[Session]:
        """A tenant's sessions are of no use any more. Gives the idle ones, to be closed."""
        for session in self._sessions:
            session.is_condemned = session.is_condemned or session.alias == alias
        return [self._pick_up(session) for session in list(self._idle) if session.is_condemned]

    def next_expiry(self) -> float | None:
        """When the next idle session is to be closed, by the monotonic clock; None where none is idle."""
        oldest = next(iter(self._idle), None)
        return oldest.idle_since + self.limits.idle_age_s if oldest is not None else None

    def _grant(self, alias: str, params: dict[str, Any]) -> Grant | None:
        if idle := self._idle_of.get(alias):
            session = self._pick_up(idle[-1])
            # Other settings than it was opened with: the tenant has moved, or has another password.
            return Grant(idle=session) if session.params == params else Grant(instead_of=session)
        if self._used[alias] >= self.limits.per_tenant:
            return None
        if self._used.total() < self.limits.size:
            self._used[alias] += 1
            return Grant()
        if not self._idle:
            return None
        oldest = self._pick_up(next(iter(self._idle)))
        self._release(oldest.alias)
        self._used[alias] += 1
        self.counts.evicted += 1
        return Grant(instead_of=oldest)

    def _pick_up(self, session: Session) -> Session:
        del self._idle[session]
        siblings = self._idle_of[session.alias]
        siblings.remove(session)
        if not siblings:
            del self._idle_of[session.alias]
        return session

    def _release(self, alias: str) -> None:
        self._used[alias] -= 1
        if not self._used[alias]:
            del self._used[alias]  # or it would hold every tenant that ever was
