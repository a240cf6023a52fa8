"""Pausing, going on with and aborting a rollout, from another process than the one that runs it.

Main holds what is wanted. The rollout's main thread looks there every second; its workers heed what it found.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import connections

from tenants.errors import TransitionError
from tenants.models import Rollout
from tenants.models.rollout import Wish
from tenants.rollout.ledger import ACTIVE_LOCK, find_rollout

LOOKS_EVERY_S = 1.0


def pause(rollout: Rollout, *, by: str) -> None:
    """Have it begin no more tenants until it is to go on; those in hand are brought to their target.

    Raises ``TransitionError`` where it is not running, or is paused already.
    """
    _tell(rollout, Wish.PAUSE, by)


def go_on(rollout: Rollout, *, by: str) -> None:
    """Have a paused rollout go on. Raises ``TransitionError`` where it is not paused."""
    _tell(rollout, Wish.GO, by)


def abort(rollout: Rollout, *, by: str) -> None:
    """Have it begin no more tenants, and end. Raises ``TransitionError`` where it is not running."""
    _tell(rollout, Wish.ABORT, by)


def active_or(rollout_id: str) -> Rollout:
    """The rollout of this id, or of this beginning of one; with "" the active one.

    Raises ``UnknownRolloutError``, and ``TransitionError`` where none is active.
    """
    if rollout_id:
        return find_rollout(rollout_id)
    active = Rollout.objects.filter(state=Rollout.State.RUNNING).first()
    if active is None:
        raise TransitionError("no rollout is active; see `manage.py tenants history`")
    return active


def _tell(rollout: Rollout, wish: Wish, by: str) -> None:
    rollout.refresh_from_db()
    if rollout.state == Rollout.State.RUNNING and not _is_alive():
        raise TransitionError(f"the process of {rollout} has died; `migrate_tenants --resume` goes on with it")
    rollout.want(wish, by=by)


def _is_alive() -> bool:
    """Whether a process holds the lock of the active rollout. It is looked at, not taken: a new one may want it."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database AND datname = current_database() "
            "WHERE locktype = 'advisory' AND classid = 0 AND objid = %s AND granted",
            [ACTIVE_LOCK],
        )
        return cursor.fetchone() is not None


class Control:
    """What is wanted of one rollout, as its own process knows it. ``look`` is for the main thread, the rest for all."""

    def __init__(self, rollout: Rollout, on_change: Callable[[Wish, str], None]) -> None:
        self._rollout, self._on_change = rollout, on_change
        self._wish, self.by = Wish.GO, ""
        self._looked = 0.0

    @property
    def is_paused(self) -> bool:
        return self._wish == Wish.PAUSE

    @property
    def is_aborted(self) -> bool:
        return self._wish == Wish.ABORT

    def look(self) -> None:
        """Ask main, if that was not done within the last second."""
        if time.monotonic() - self._looked < LOOKS_EVERY_S:
            return
        self._looked = time.monotonic()
        found = Rollout.objects.filter(pk=self._rollout.pk).values_list("wanted", "wanted_by").first()
        if found is None or found[0] == self._wish:
            return
        self._wish, self.by = Wish(found[0]), found[1]
        self._on_change(self._wish, self.by)
