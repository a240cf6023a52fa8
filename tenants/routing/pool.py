"""The sessions of this process with tenants' databases: how many there may be, and who has one.

It stands below Django's connection objects (``routing.backend``), which take a session when they connect and give it
back when they are closed. Four rules:

- At most ``size`` sessions are open, and ``per_tenant`` of them with one tenant. One that is being opened or closed
  counts.
- Where there is no room, the session that was idle longest is closed. Where none is idle, one waits in the order of
  arrival, at most ``wait_s``.
- A session that is idle for ``idle_age_s`` is closed.
- What is held by a thread that dies, or by a connection object that is dropped unclosed, comes back. After a fork the
  child starts with nothing and closes nothing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from django.conf import settings

from tenants.errors import ConnectionsInUseError
from tenants.routing.session import Session
from tenants.routing.slots import Grant, Limits, Slots, Waiter

LOOK_AGAIN_S = 0.25
"""A thread that dies while another holds the lock cannot wake those who wait; so they look for themselves."""


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
        self._slots = Slots(self.limits)
        self.counts = self._slots.counts
        self._abandoned: deque[set[Session]] = deque()
        self._thread = threading.local()
        self._has_sweeper = False

    def take(self, alias: str, params: dict[str, Any], connect: Callable[[], Any]) -> Session:
        """A session opened with ``params``: one that was idle, or what ``connect`` gives.

        Raises ``ConnectionsInUseError``, and what ``connect`` raises.
        """
        with self._lock:
            asked = self._slots.ask(alias, params)
        grant = self._wait_for_grant(asked) if isinstance(asked, Waiter) else asked
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
            if fit and not session.is_condemned and session in self._slots:
                self._slots.lay_idle(session)
                leaving = self._slots.pop_expired()
                self._watch_over_idle()
            else:
                leaving = [session]
        self._end(leaving)

    def abandon(self, session: Session) -> None:
        """Take back what nobody can give back any more, to close it. May be called by the garbage collector."""
        session.holders.discard(session)
        self._abandon({session})

    def empty(self, alias: str) -> None:
        """Close a tenant's sessions: the idle ones now, those in use when they are given back."""
        with self._lock:
            leaving = self._slots.condemn(alias)
        self._end(leaving)

    def numbers(self) -> dict[str, int]:
        """How many sessions are ``in_use`` and ``idle``, and how many threads are ``waiting`` for one."""
        with self._lock:
            slots = self._slots
            return {"in_use": slots.in_use, "idle": slots.idle, "waiting": len(slots.waiting)}

    # Waiting

    def _wait_for_grant(self, waiter: Waiter) -> Grant:
        began = time.monotonic()
        if not waiter.ready.is_set():
            self._wait(waiter, until=began + self.limits.wait_s)
            self.counts.waited_seconds += time.monotonic() - began
        with self._lock:
            if waiter.grant is not None:
                return waiter.grant
            self._slots.waiting.remove(waiter)
            self.counts.timed_out += 1
        raise ConnectionsInUseError(
            f"none was free for {waiter.alias} within {self.limits.wait_s:g} s; "
            f"this process may have {self.limits.size}, and {self.limits.per_tenant} with one tenant",
            alias=waiter.alias,
        )

    def _wait(self, waiter: Waiter, until: float) -> None:
        try:
            while (left_s := until - time.monotonic()) > 0 and not waiter.ready.wait(min(left_s, LOOK_AGAIN_S)):
                self._take_back_abandoned()
        except BaseException:  # a worker that is told to stop; a grant that nobody comes for would be lost
            with self._lock:
                if waiter.grant is None:
                    self._slots.waiting.remove(waiter)
            if waiter.grant is not None:
                idle = self._use(waiter.grant)
                self._end([idle]) if idle is not None else self._free(waiter.alias)
            raise

    # Opening and closing take time, and so are done outside the lock

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
                self._slots.remove(leaving)
        return None

    def _open(self, alias: str, params: dict[str, Any], connect: Callable[[], Any]) -> Session:
        session = Session(alias, params, connect())
        self.counts.opened += 1
        with self._lock:
            self._slots.add(session)
        return session

    def _end(self, leaving: Iterable[Session]) -> None:
        for session in leaving:
            session.close()
            with self._lock:
                known = self._slots.remove(session)
            if known:
                self._free(session.alias)

    def _free(self, alias: str) -> None:
        with self._lock:
            self._slots.release(alias)

    def _watch_over_idle(self) -> None:
        if not self._has_sweeper:
            self._has_sweeper = True
            threading.Thread(target=self._sweep, name="silo pool", daemon=True).start()

    def _sweep(self) -> None:
        """Close what is idle for too long where no request comes to do it. Ends when nothing is idle."""
        while True:
            with self._lock:
                leaving = self._slots.pop_expired()
                due = self._slots.next_expiry()
                self._has_sweeper = due is not None
            self._end(leaving)
            if due is None:
                return
            time.sleep(max(0.0, due - time.monotonic()))

    # Threads that die, and connection objects that are dropped

    def _held_here(self) -> set[Session]:
        """What this thread has taken. Its Django connections are in cycles, so they outlive it; the token does not."""
        try:
            return self._thread.held
        except AttributeError:
            self._thread.token, self._thread.held = _Token(), set()
            weakref.finalize(self._thread.token, self._abandon, self._thread.held).atexit = False  # type: ignore[misc]
            return self._thread.held

    def _abandon(self, held: set[Session]) -> None:
        """Called when a holder has gone, perhaps by the garbage collector in one that holds the lock: never waits."""
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
            self._end(list(held))  # a copy: one of them may just be given back, or abandoned for itself


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
