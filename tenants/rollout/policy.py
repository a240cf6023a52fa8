"""Which errors are worth another try, and when a rollout has seen enough of them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import psycopg2
from django.db import InterfaceError, OperationalError
from psycopg2 import errorcodes

from tenants.databases.sessions import sqlstate_of
from tenants.errors import ServerCrowdedError, ServerDownError
from tenants.routing.backend.base import DatabaseWrapper

EQUAL_ERRORS_IN_A_ROW = 3
SHARE_THAT_MAY_FAIL = 0.02
TRIED_BEFORE_SHARES_COUNT = 50

MAX_TRIES = 6
FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=10)

TRANSIENT = frozenset({errorcodes.LOCK_NOT_AVAILABLE, errorcodes.DEADLOCK_DETECTED})
"""55P03 and 40P01. A data error is never tried again: it would fail again, and cost another lock."""


OPERATOR_INTERVENTION = "57P"
"""Beginning of the SQLSTATEs of a session that the server ends, or does not begin: it shuts down, starts, recovers."""


class Verdict(Enum):
    """What an error says of another try, and of the server."""

    FINAL = "it would fail again"
    STOPPED = "it was stopped, and waits for the next rollout"
    AGAIN = "it may succeed a little later"
    SQUEEZED = "the database has too many sessions, or the server had a moment ago"
    CROWDED = "the server has too many sessions"
    DOWN = "the server gives no session at all"
    DISK_FULL = "the server cannot write"

    @property
    def blames_server(self) -> bool:
        return self in {Verdict.CROWDED, Verdict.DOWN, Verdict.DISK_FULL}

    @property
    def is_setback(self) -> bool:
        """The tenant's own trouble, which it may have ``MAX_TRIES`` times."""
        return self in {Verdict.AGAIN, Verdict.SQUEEZED}


def verdict_on(error: BaseException, connection: DatabaseWrapper) -> Verdict:
    """What to make of an error; ``connection`` is the one that this try began with.

    psycopg2 has no SQLSTATE for a session that never began (``why_refused`` finds it), and not always one for a session
    that was ended: that shows in the connection alone.
    """
    if isinstance(error, ServerDownError):
        return Verdict.DOWN
    sqlstate = sqlstate_of(error)
    if sqlstate == errorcodes.TOO_MANY_CONNECTIONS:
        return Verdict.CROWDED if isinstance(error, ServerCrowdedError) else Verdict.SQUEEZED
    if sqlstate == errorcodes.DISK_FULL:
        return Verdict.DISK_FULL
    if sqlstate in TRANSIENT:
        return Verdict.AGAIN
    if not isinstance(error, OperationalError | InterfaceError | psycopg2.OperationalError):
        return Verdict.FINAL
    session = connection.connection
    lost = session is None or bool(session.closed) or connection.sessions_opened > 1
    return Verdict.AGAIN if lost else Verdict.FINAL


def verdict_on_server(error: psycopg2.Error) -> Verdict:
    """What to make of an error of a maintenance session, which works outside any tenant."""
    if error.pgcode == errorcodes.DISK_FULL:
        return Verdict.DISK_FULL
    lost = error.pgcode is None or error.pgcode.startswith(OPERATOR_INTERVENTION)
    return Verdict.DOWN if lost else Verdict.FINAL


def pause_before(attempt: int) -> float:
    """Seconds to wait before the try ``attempt`` (2, 3...): doubling from 0.5 s to 10 s, less up to half of it."""
    longest = min(FIRST_PAUSE.total_seconds() * 2 ** (attempt - 2), LONGEST_PAUSE.total_seconds())
    return random.uniform(longest / 2, longest)


@dataclass(frozen=True)
class MaxFailures:
    """How many tenants may fail before no more are begun: a number, or a share of all that were selected."""

    number: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> MaxFailures:
        """``10`` or ``5%``. Raises ``ValueError`` for anything else."""
        if text.endswith("%"):
            percent = float(text[:-1])
            if not 0 <= percent <= 100:
                raise ValueError(f"{text!r} is not a share between 0% and 100%")
            return cls(percent=percent)
        if not text.isdecimal():
            raise ValueError(f"{text!r} is neither a number nor a share such as 5%")
        return cls(number=int(text))

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else str(self.number)

    def of(self, total: int) -> float:
        return self.number if self.number is not None else total * (self.percent or 0) / 100


class Brake:
    """Says when to begin no more tenants.

    With ``max_failures``, once more than that have failed. Without, at the first failure; or, where the rollout is to
    continue on errors, at three equal errors in a row, or at over 2 % failed once 50 were tried.
    """

    def __init__(self, total: int, *, on_error: str, max_failures: MaxFailures | None) -> None:
        self._limit = max_failures.of(total) if max_failures is not None else None
        self._continues = on_error == "continue"
        self._tried = self._failed = self._in_a_row = 0
        self._last: tuple[str, str | None] | None = None

    def must_stop(self, error: tuple[str, str | None] | None) -> bool:
        """Hear of one more outcome: its error's class and migration, or None where there was none."""
        self._tried += 1
        if error is None:
            self._last, self._in_a_row = None, 0
            return False
        self._failed += 1
        self._in_a_row = self._in_a_row + 1 if error == self._last else 1
        self._last = error
        if self._limit is not None:
            return self._failed > self._limit
        if not self._continues:
            return True
        if self._in_a_row >= EQUAL_ERRORS_IN_A_ROW:
            return True
        return self._tried >= TRIED_BEFORE_SHARES_COUNT and self._failed > self._tried * SHARE_THAT_MAY_FAIL
