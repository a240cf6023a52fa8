"""The sessions of this process with tenants' databases: how many there may be, and who has one.

It stands below Django's connection objects (``routing.backend``), which take a session when they connect and give it
back when they are closed. Four rules:

- At most ``size`` sessions are open, and ``per_tenant`` of them with one tenant. One that is being opened or closed
  counts.
- Where there is no room, the session that was idle longest is closed. Where none is idle, one waits in the order of
  arrival, at most ``wait_s``.
- A session that is idle for ``idle_age_s`` is closed.
- What a thread holds when it dies comes back. After a fork the child starts with nothing and closes nothing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.conf import settings

from tenants.errors import ConnectionsInUseError
from tenants.routing.session import Session

LOOK_AGAIN_S = 0.25
"""A thread that dies while another holds the lock cannot wake those who wait; so they look for themselves."""


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
class _Waiter:
    alias: str
    params: dict[str, Any] = field(repr=False)  # a password is in it
    grant: Grant | None = None
    ready: threading.Event = field(default_factory=threading.Event)


class _Token:
    """Dies with its thread."""


class SessionPool:
    """See the module. ``take`` and ``give`` may be called from any thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.forget()

    def forget(self) -> None:
        """Start anew in a child process: what was inherited is the parent's, the lock's state included."""
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._idle: OrderedDict[Session, None] = OrderedDict()
        """Idle the longest first."""
        self._idle_of: dict[str, list[Session]] = {}
        self._slots: Counter[str] = Counter()
        """Sessions by tenant, those that are being opened or closed included."""
        self._waiting: deque[_Waiter] = deque()
        self._abandoned: deque[set[Session]] = deque()
        self._thread = threading.local()
        self._has_sweeper = False
        self.counts = Counts()

    def take(self, alias: str, params: dict[str, Any], connect: Callable[[], Any]) -> Session:
        """A session opened with ``params``: one that was idle, or what ``connect`` gives.

        Raises ``ConnectionsInUseError``, and what ``connect`` raises.
        """
        grant = self._wait_for_grant(alias, params)
        try:
            session = self._use(grant) or self._open(alias, params, connect)
        except BaseException:
            self._free(alias)
            raise
        session.holders = self._held_here()
        session.holders.add(session)
        return session

    def give(self, session: Session) -> None:
        """Take a session back: as good as new, or it is closed."""
        session.holders.discard(session)
        fit = self.limits.idle_age_s > 0 and session.reset()
        with self._lock:
            if fit and not session.is_condemned and session in self._sessions:
                self._lay_idle(session)
                self._serve()
                leaving = self._pop_expired()
            else:
                leaving = [session]
        self._end(leaving)

    def empty(self, alias: str) -> None:
        """Close a tenant's sessions: the idle ones now, those in use when they are given back."""
        with self._lock:
            for session in self._sessions:
                session.is_condemned = session.is_condemned or session.alias == alias
            leaving = [session for session in self._idle if session.is_condemned]
            for session in leaving:
                self._pick_up(session)
        self._end(leaving)

    def numbers(self) -> dict[str, int]:
        """How many sessions are ``in_use`` and ``idle``, and how many threads are ``waiting`` for one."""
        with self._lock:
            idle = len(self._idle)
            return {"in_use": self._slots.total() - idle, "idle": idle, "waiting": len(self._waiting)}

    # Waiting

    def _wait_for_grant(self, alias: str, params: dict[str, Any]) -> Grant:
        began = time.monotonic()
        waiter = _Waiter(alias, params)
        with self._lock:
            self._waiting.append(waiter)
            self._serve()
        if not waiter.ready.is_set():
            self._wait(waiter, until=began + self.limits.wait_s)
            self.counts.waited_seconds += time.monotonic() - began
        with self._lock:
            if waiter.grant is not None:
                return waiter.grant
            self._waiting.remove(waiter)
            self.counts.timed_out += 1
        raise ConnectionsInUseError(
            f"none was free for {alias} within {self.limits.wait_s:g} s; this process may have {self.limits.size}, "
            f"and {self.limits.per_tenant} with one tenant",
            alias=alias,
        )

    def _wait(self, waiter: _Waiter, until: float) -> None:
        try:
            while (left_s := until - time.monotonic()) > 0 and not waiter.ready.wait(min(left_s, LOOK_AGAIN_S)):
                self._take_back_abandoned()
        except BaseException:  # a worker that is told to stop; a grant that nobody comes for would be lost
            with self._lock:
                if waiter.grant is None:
                    self._waiting.remove(waiter)
            if waiter.grant is not None:
                idle = self._use(waiter.grant)
                self._end([idle]) if idle is not None else self._free(waiter.alias)
            raise

    def _serve(self) -> None:
        """Grant to those who wait, the first first, as long as there is room. Under the lock, as all down to Use."""
        for waiter in list(self._waiting):
            if not self._idle and self._slots.total() >= self.limits.size:
                return
            waiter.grant = self._grant(waiter.alias, waiter.params)
            if waiter.grant is not None:
                self._waiting.remove(waiter)
                waiter.ready.set()

    def _grant(self, alias: str, params: dict[str, Any]) -> Grant | None:
        if idle := self._idle_of.get(alias):
            session = self._pick_up(idle[-1])
            # Other settings than it was opened with: the tenant has moved, or has another password.
            return Grant(idle=session) if session.params == params else Grant(instead_of=session)
        if self._slots[alias] >= self.limits.per_tenant:
            return None
        if self._slots.total() < self.limits.size:
            self._slots[alias] += 1
            return Grant()
        if not self._idle:
            return None
        oldest = self._pick_up(next(iter(self._idle)))
        self._release_slot(oldest.alias)
        self._slots[alias] += 1
        self.counts.evicted += 1
        return Grant(instead_of=oldest)

    def _lay_idle(self, session: Session) -> None:
        session.idle_since = time.monotonic()
        self._idle[session] = None
        self._idle_of.setdefault(session.alias, []).append(session)
        if not self._has_sweeper:
            self._has_sweeper = True
            threading.Thread(target=self._sweep, name="silo pool", daemon=True).start()

    def _pick_up(self, session: Session) -> Session:
        del self._idle[session]
        siblings = self._idle_of[session.alias]
        siblings.remove(session)
        if not siblings:
            del self._idle_of[session.alias]
        return session

    def _pop_expired(self) -> list[Session]:
        until = time.monotonic() - self.limits.idle_age_s
        return [self._pick_up(session) for session in list(self._idle) if session.idle_since <= until]

    def _release_slot(self, alias: str) -> None:
        self._slots[alias] -= 1
        if not self._slots[alias]:
            del self._slots[alias]  # or it would hold every tenant that ever was

    # Use: opening and closing, which take time, and so are done outside the lock

    def _use(self, grant: Grant) -> Session | None:
        """The idle session, if it lives; otherwise room was made to open one."""
        leaving = grant.instead_of
        if grant.idle is not None:
            if grant.idle.is_alive(time.monotonic() - grant.idle.idle_since):
                self.counts.reused += 1
                return grant.idle
            self.counts.found_dead += 1
            leaving = grant.idle
        if leaving is not None:
            leaving.close()
            with self._lock:
                self._sessions.discard(leaving)
        return None

    def _open(self, alias: str, params: dict[str, Any], connect: Callable[[], Any]) -> Session:
        session = Session(alias, params, connect())
        self.counts.opened += 1
        with self._lock:
            self._sessions.add(session)
        return session

    def _end(self, leaving: Iterable[Session]) -> None:
        for session in leaving:
            session.close()
            with self._lock:
                known = session in self._sessions  # not one that was inherited by a fork
                self._sessions.discard(session)
            if known:
                self._free(session.alias)

    def _free(self, alias: str) -> None:
        with self._lock:
            self._release_slot(alias)
            self._serve()

    def _sweep(self) -> None:
        """Close what is idle for too long where no request comes to do it. Ends when nothing is idle."""
        while True:
            with self._lock:
                leaving = self._pop_expired()
                oldest = next(iter(self._idle), None)
                self._has_sweeper = oldest is not None
            self._end(leaving)
            if oldest is None:
                return
            time.sleep(max(0.0, oldest.idle_since + self.limits.idle_age_s - time.monotonic()))

    # Threads that die

    def _held_here(self) -> set[Session]:
        """What this thread has taken. Its Django connections are in cycles, so they outlive it; the token does not."""
        try:
            return self._thread.held
        except AttributeError:
            self._thread.token, self._thread.held = _Token(), set()
            weakref.finalize(self._thread.token, self._abandon, self._thread.held).atexit = False  # type: ignore[misc]
            return self._thread.held

    def _abandon(self, held: set[Session]) -> None:
        """Called when a thread has died, perhaps by the garbage collector in one that holds the lock: never waits."""
        if held:
            self._abandoned.append(held)
            if self._lock.acquire(blocking=False):
                self._lock.release()
                self._take_back_abandoned()

    def _take_back_abandoned(self) -> None:
        while self._abandoned:
            try:
                held = self._abandoned.popleft()
            except IndexError:  # another thread was faster
                return
            self._end(held)


@cache
def process_pool() -> SessionPool:
    """The pool of this process, with the limits of the settings."""
    return SessionPool(
        Limits(
            size=settings.TENANT_POOL_SIZE,
            per_tenant=settings.TENANT_POOL_PER_TENANT,
            idle_age_s=settings.TENANT_POOL_IDLE_AGE,
            wait_s=settings.TENANT_POOL_WAIT,
        )
    )


def _forget_in_child() -> None:
    if process_pool.cache_info().currsize:
        process_pool().forget()


os.register_at_fork(after_in_child=_forget_in_child)
