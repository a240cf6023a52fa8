"""The main database while a rollout runs: what it wishes, and what becomes of the rollout where it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error as DjangoError
from django.db import InterfaceError, OperationalError, connections

from tenants.databases.sessions import sqlstate_of
from tenants.rollout.control import Control
from tenants.rollout.ledger import Ledger
from tenants.rollout.policy import OPERATOR_INTERVENTION
from tenants.rollout.result import Report
from tenants.rollout.scheduler import Scheduler


class MainLink:
    """For the main thread of a rollout alone, which is the only one that speaks to main."""

    def __init__(self, ledger: Ledger, control: Control, scheduler: Scheduler, report: Report) -> None:
        self._ledger, self._control, self._scheduler, self._report = ledger, control, scheduler, report

    def beat(self) -> None:
        """Now and then: where this rollout is no longer the active one, or is aborted, it begins nothing more."""
        if not (self._report.lost or self._ledger.beat()):
            self._lose("the session that holds the rollout's lock has ended")
        if not self._report.lost:
            with self.may_be_lost():
                self._control.look()
        if self._control.is_aborted:
            self._scheduler.halt()

    @contextmanager
    def may_be_lost(self) -> Iterator[None]:
        """Without main nothing more is begun; what is in hand ends, and its outcome stands in its own database."""
        try:
            yield
        except DjangoError as error:
            # Main may live, and the lock with it, and have ended the one session that was asked.
            if self._ledger.is_active() and not _is_of_a_lost_session(error):
                raise
            self._lose(str(error).strip())

    def _lose(self, why: str) -> None:
        self._report.lost = self._report.lost or why
        self._scheduler.halt()
        # It may be back by the end of the rollout, to hear the rest.
        connections["default"].close_if_unusable_or_obsolete()


def _is_of_a_lost_session(error: DjangoError) -> bool:
    """Whether main has ended the session: that cannot be asked of the connection, which may have begun another."""
    sqlstate = sqlstate_of(error)
    is_lost = sqlstate is None or sqlstate.startswith(OPERATOR_INTERVENTION)
    return is_lost and isinstance(error, InterfaceError | OperationalError)
