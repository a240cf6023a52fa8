"""What is written down of rollouts in main: that one is active, and what became of each tenant.

Written by the rollout's main thread only. It reports; what is applied is asked of the tenants.
"""

from __future__ import annotations

import json
import logging
import select
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2
from django.db import DatabaseError, IntegrityError, InterfaceError, connections, transaction
from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Cast, Replace

from tenants.databases.sessions import poll
from tenants.errors import RolloutActiveError, TransitionError, UnknownRolloutError
from tenants.models import Installation, Rollout, RolloutAttempt, Tenant
from tenants.models.rollout import AttemptState, RolloutState
from tenants.rollout import process
from tenants.rollout.heads import head_of
from tenants.rollout.outcome import Outcome

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

ACTIVE_LOCK = 0x5113
BATCH = 100
BATCH_AGE_S = 1.0

BEAT_S = 0.5
LEASE_S = 2.0
"""So long after the last look at its lock a rollout begins tenants; whoever finds the lock free waits as long."""


COUNTS = ("total", *(state.value for state in AttemptState))


class Ledger:
    """One rollout's entries. Made by ``begin``, ended by ``finish``."""

    def __init__(self, rollout: Rollout, session: Any) -> None:
        self.rollout = rollout
        self._session = session
        self._held_at = time.monotonic()
        self._attempts: list[RolloutAttempt] = []
        self._heads: dict[str, list[Tenant]] = {}
        self._written = time.monotonic()

    @classmethod
    def begin(cls, *, target: str, options: dict[str, Any], total: int = 0, started_by: User | None = None) -> Ledger:
        """Claim the one active rollout. Raises ``RolloutActiveError``, which names the other one.

        A live rollout holds an advisory lock on a session of its own, which goes when its process dies. So a row that
        says ``running`` while the lock is free is a dead rollout's, or one's that lost the session and lives. It is
        marked interrupted when that one, too, must have noticed.
        """
        session = connections["default"].copy()
        try:
            with session.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [ACTIVE_LOCK])
                locked = cursor.fetchone()[0]
            if not locked:
                raise RolloutActiveError(_active_in_words())
            _bury_the_dead()
            try:
                with transaction.atomic(using="default"):
                    rollout = Rollout.objects.create(
                        target=target,
                        options=options,
                        total=total,
                        process=process.title(),
                        started_by=started_by,
                        os_user=process.os_user(),
                        code_version=process.code_version(),
                    )
            except IntegrityError as error:
                raise RolloutActiveError(_active_in_words()) from error
        except BaseException:
            session.close()
            raise
        return cls(rollout, session)

    def beat(self) -> bool:
        """Make sure every ``BEAT_S`` that this rollout is still the active one."""
        return time.monotonic() - self._held_at < BEAT_S or self.is_active()

    def is_active(self) -> bool:
        """Ask main whether the lock's session lives. While it does, no other rollout can have begun."""
        if self._session.connection is None:
            return False  # It was closed, and would be opened again here, without the lock.
        asked_at = time.monotonic()
        try:
            with self._session.cursor() as cursor:
                cursor.execute("SELECT 1")
        except (DatabaseError, InterfaceError):
            return False
        self._held_at = asked_at
        return True

    def is_held(self) -> bool:
        """Whether no other rollout can have begun, as far as is known here. Asks nobody, so any thread may call it.

        A server that ends a session says so, or closes the connection; one that is merely gone does neither, and a
        process that was stopped for an hour has not heard. So the last answer must not be old, either.
        """
        if time.monotonic() - self._held_at >= LEASE_S:
            return False
        heard = select.poll()
        try:
            heard.register(self._session.connection.fileno(), select.POLLIN)
        except (psycopg2.InterfaceError, ValueError):  # closed; or just being dropped, and its number is -1
            return False
        # Whatever it is, the next beat reads it, and finds out whether it was the end.
        return not heard.poll(0)

    def note(self, tenant: Tenant | None, outcome: Outcome) -> None:
        """Take one outcome down. Written in batches, so that a fast rollout does not wait on main."""
        failure = outcome.failure
        self._attempts.append(
            RolloutAttempt(
                rollout=self.rollout,
                tenant=tenant,
                state=outcome.state,
                migration=(failure and failure.migration) or "",
                sqlstate=(failure and failure.sqlstate) or "",
                error=failure.error if failure else "",
                message=_storable(failure.message if failure else outcome.reason),
                traceback=_storable(failure.traceback if failure else ""),
                attempts=outcome.attempts,
                seconds=outcome.seconds,
                applied=list(outcome.steps),
                head_before=head_of(outcome.before),
                head_after=outcome.head,
            )
        )
        if tenant is not None:
            setattr(self.rollout, outcome.state, getattr(self.rollout, outcome.state) + 1)
        if tenant is not None and outcome.failure is None and outcome.applied and tenant.head != outcome.head:
            tenant.head = outcome.head
            self._heads.setdefault(json.dumps(outcome.head), []).append(tenant)
        if len(self._attempts) >= BATCH or time.monotonic() - self._written > BATCH_AGE_S:
            self.write()

    def write(self) -> None:
        """Write what was taken down so far."""
        with transaction.atomic(using="default"):
            # A tenant deleted meanwhile leaves an entry without a tenant, not a broken key.
            alive = set(
                Tenant.objects.select_for_update(of=("self",), no_key=True)
                .filter(pk__in=[attempt.tenant_id for attempt in self._attempts if attempt.tenant_id])
                .values_list("pk", flat=True)
            )
            for attempt in self._attempts:
                if attempt.tenant_id not in alive:
                    attempt.tenant = None
            RolloutAttempt.objects.bulk_create(self._attempts)
            # Nearly all have one head, so this is one statement; bulk_update would write a CASE with a branch for each.
            for head, tenants in self._heads.items():
                Tenant.objects.filter(pk__in=[tenant.pk for tenant in tenants]).update(head=json.loads(head))
            Rollout.objects.filter(pk=self.rollout.pk).update(**self._counts())
        self._attempts, self._heads, self._written = [], {}, time.monotonic()

    def _counts(self) -> dict[str, int]:
        return {name: getattr(self.rollout, name) for name in COUNTS}

    def expect(self, more: int) -> None:
        """So many tenants are to be brought along besides. Written with what is noted next."""
        self.rollout.total += more

    def note_template(self, head_key: str) -> None:
        """Write down the head that new tenants get when this has succeeded, before any tenant is touched."""
        before = Installation.current().head_key
        Rollout.objects.filter(pk=self.rollout.pk).update(fleet_before=before, fleet_after=head_key)

    def finish(self, state: RolloutState, *, plan_hash: str = "") -> None:
        """Write the rest, and how it ended; then let the next rollout begin."""
        try:
            if self._attempts:
                self.write()
            self.rollout.move_to(state, plan_hash=plan_hash, **self._counts())
        except TransitionError:
            # Main lost our lock's session, so another rollout took this one for dead. The tenants know better.
            logger.warning("Another process has ended %s in the ledger meanwhile", self.rollout)
        finally:
            self._session.close()


def find_rollout(rollout_id: str) -> Rollout:
    """The rollout of this id, or of this beginning of one, or with "" the last. Raises ``UnknownRolloutError``."""
    rollouts = Rollout.objects.select_related("started_by").order_by("-started_at")
    if not rollout_id:
        last = rollouts.first()
        if last is None:
            raise UnknownRolloutError("there has been none yet")
        return last
    beginning = rollout_id.lower().replace("-", "")
    fitting = list(
        rollouts.annotate(digits=Replace(Cast("id", CharField()), Value("-"))).filter(digits__startswith=beginning)[:2]
    )
    if len(fitting) != 1:
        raise UnknownRolloutError(f"{'no' if not fitting else 'more than one'} rollout is {rollout_id!r}")
    return fitting[0]


def parts_of(origin: str) -> QuerySet[Rollout]:
    """A rollout and those that went on with it, the first first. ``origin`` is what its options, or its id, say."""
    parts = Q(options__origin=origin)
    with suppress(ValueError):  # A rollback's is no id.
        parts |= Q(pk=UUID(origin))
    return Rollout.objects.filter(parts).order_by("started_at")


def _storable(text: str) -> str:
    """PostgreSQL's text has no NUL; an exception's message may."""
    return text.replace("\0", "\\0")


def _bury_the_dead() -> None:
    running = Rollout.objects.filter(state=Rollout.State.RUNNING)
    if not running:
        return
    if any(not process.has_surely_ended(rollout.process) for rollout in running):
        # It may live and have lost its session only. After this time it begins no more tenants; those in hand are
        # under locks of their own.
        poll(lambda: not running.all().exists(), timedelta(seconds=LEASE_S))
    for dead in running.all():
        dead.move_to(RolloutState.INTERRUPTED)


def _active_in_words() -> str:
    # The other one has the lock first and writes its row next.
    poll(Rollout.objects.filter(state=Rollout.State.RUNNING).exists, timedelta(seconds=2))
    active = Rollout.objects.filter(state=Rollout.State.RUNNING).first()
    if active is None:
        return "it is just starting, or ending; try again in a moment"
    return f"{active.id} to {active.target}, by {active.process} since {active.started_at:%Y-%m-%d %H:%M:%S} UTC"
