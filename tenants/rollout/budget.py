"""How many tenants of one server may be in hand at once: fewer while it is crowded, one while it is out, then none.

Arithmetic only: the caller tells the time, in seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tenants.rollout.policy import Verdict, pause_before

PATIENCE = timedelta(seconds=15)
"""How long a server may be out before its tenants fail: a restart is survived, a dead server holds nobody up."""


@dataclass
class Outage:
    """Since when a server gives no session, how often that was seen, when to look again, and whether one is looking.

    Tries begun before it may go on for long, and are not waited for.
    """

    since: float
    seen: int
    look_at: float
    is_probed: bool = False


class Budget:
    """The share of one server, by what its tenants' tries say of it.

    - Refused for too many sessions (53300): the limit halves, once for all tries begun before; each try that gets its
      session brings a part of one back. Refused with no other of ours in hand, it is an outage.
    - Out (no answer, or no session): one try at a time, after growing pauses, each of which is a probe. The first that
      gets its session ends the outage. After ``PATIENCE`` the server is closed.
    - Closed, also when its disk is full: left alone for the rest of the rollout.
    """

    def __init__(self, most: int) -> None:
        self.in_hand = 0
        self.is_closed = False
        self.limit = float(most)
        self._most = most
        self._halved_at = float("-inf")
        self._outage: Outage | None = None

    def may_begin(self, now: float) -> bool:
        if self._outage is not None:
            return not self._outage.is_probed and now >= self._outage.look_at
        return self.in_hand < int(self.limit)

    def begin(self) -> None:
        self.in_hand += 1
        if self._outage is not None:
            self._outage.is_probed = True

    def end(self, verdict: Verdict, *, begun_at: float, now: float) -> None:
        """Hear how a try ended that began at ``begun_at``."""
        self.in_hand -= 1
        was_probe = self._outage is not None and begun_at >= self._outage.since
        if self._outage is not None and was_probe:
            self._outage.is_probed = False
        if verdict is Verdict.DISK_FULL:
            self.is_closed = True
        elif verdict in {Verdict.CROWDED, Verdict.SQUEEZED} and self.in_hand and not was_probe:
            self._halve(begun_at, now)
        elif verdict.blames_server:
            self.note_outage(now)
        else:
            self._grow(begun_at)

    def note_outage(self, now: float) -> None:
        """Take down that the server gave no session."""
        seen = self._outage.seen + 1 if self._outage else 1
        since = self._outage.since if self._outage else now
        end = since + PATIENCE.total_seconds()
        is_probed = self._outage is not None and self._outage.is_probed
        self._outage = Outage(since, seen, min(now + pause_before(seen + 1), end), is_probed)
        self.is_closed = self.is_closed or now >= end

    def _halve(self, begun_at: float, now: float) -> None:
        # Those refused in the same moment say one thing, not four.
        if begun_at > self._halved_at:
            self.limit, self._halved_at = max(1.0, self.limit / 2), now

    def _grow(self, begun_at: float) -> None:
        # A session from before the outage may live on while the server takes no new one.
        if self._outage is not None and begun_at < self._outage.since:
            return
        self._outage = None
        self.limit = min(float(self._most), self.limit + 1 / self.limit)
