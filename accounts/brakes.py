"""Slows down whoever tries often: after some tries each next one has to wait, twice as long as the one before.

The waits have an end, tries that are refused do not count, and what is some time ago is forgotten; so nobody can lock
another out for good. Counted in main, where all processes see it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.errors import TooManyTriesError
from accounts.models import Brake

SWEPT_AT_ONCE = 100


@dataclass(frozen=True)
class Policy:
    """``free`` tries at any speed; then one after ``first``, and each next after twice as long, up to ``longest``."""

    kind: str
    free: int
    first: timedelta
    longest: timedelta
    forget: timedelta = timedelta(hours=1)
    """So long after the last wait all are forgotten."""

    def delay(self, failures: int) -> timedelta:
        """How long the next try has to wait after so many failures."""
        if failures < self.free:
            return timedelta()
        # The exponent has a limit too: timedelta does not hold 2 to the 1000th of anything.
        return min(self.first * 2 ** min(failures - self.free, 32), self.longest)


LOG_IN_TO = Policy("log in to", free=5, first=timedelta(seconds=1), longest=timedelta(minutes=1))
LOG_IN_FROM = Policy("log in from", free=50, first=timedelta(seconds=1), longest=timedelta(minutes=15))
"""More at first: a whole office may have one address on the Internet."""

LOG_IN_TO_FROM = Policy("log in to, from", free=5, first=timedelta(seconds=1), longest=timedelta(minutes=1))
"""In place of the first for senders from which the account was logged in to of late: guesses that others make do not
keep its user out."""

PRESENT_PASSWORD = Policy("present password of", free=5, first=timedelta(seconds=1), longest=timedelta(minutes=1))
"""Whoever has found a token must not guess the password by changing it."""

MAIL_TO = Policy("mail to", free=3, first=timedelta(minutes=1), longest=timedelta(hours=1), forget=timedelta(hours=24))
MAIL_FROM = Policy("mail from", free=30, first=timedelta(seconds=10), longest=timedelta(minutes=15))

KNOWN_FOR = timedelta(days=30)
"""How long a sender from which an account was logged in to is known."""


def count_try(policy: Policy, *whom: str) -> None:
    """Count a try before it is made; raises ``TooManyTriesError``, and then it is not counted.

    Before, not after: of a hundred guesses that are made at once, only the first few may pass.
    """
    now, key = timezone.now(), _key(policy, *whom)
    with transaction.atomic(using="default"):
        # Made or found, the row is locked from here on.
        Brake.objects.bulk_create(
            [Brake(key=key, tried_at=now, free_at=now, forget_at=now + policy.forget)],
            update_conflicts=True,
            unique_fields=["key"],
            update_fields=["tried_at"],
        )
        brake = Brake.objects.get(pk=key)
        # Not where there is no delay: of two at once the second may have read its clock before the first.
        if policy.delay(brake.failures) and now < brake.free_at:
            raise TooManyTriesError(brake.free_at - now)
        brake.failures = 1 if brake.forget_at < now else brake.failures + 1
        brake.free_at = now + policy.delay(brake.failures)
        brake.forget_at = max(brake.forget_at, brake.free_at + policy.forget)
        brake.save()


def take_back(policy: Policy, *whom: str) -> None:
    """The try was no failure."""
    with transaction.atomic(using="default"):
        brake = Brake.objects.select_for_update().filter(pk=_key(policy, *whom), failures__gt=0).first()
        if brake is not None:
            brake.failures -= 1
            brake.free_at = brake.tried_at + policy.delay(brake.failures)
            brake.save(update_fields=["failures", "free_at"])


def remember(policy: Policy, *whom: str) -> None:
    """Begin anew, and know that there was a success; see ``is_known``."""
    now = timezone.now()
    Brake.objects.bulk_create(
        [Brake(key=_key(policy, *whom), tried_at=now, free_at=now, forget_at=now + KNOWN_FOR)],
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["failures", "tried_at", "free_at", "forget_at"],
    )


def is_known(policy: Policy, *whom: str) -> bool:
    return Brake.objects.filter(pk=_key(policy, *whom), forget_at__gt=timezone.now()).exists()


def sweep() -> None:
    """Delete some of what is forgotten. What another process is at is skipped, so no two wait for each other."""
    with transaction.atomic(using="default"):
        old = Brake.objects.select_for_update(skip_locked=True).filter(forget_at__lt=timezone.now())
        Brake.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:SWEPT_AT_ONCE])).delete()


def _key(policy: Policy, *whom: str) -> str:
    """Hashed: whatever was typed fits, and the table holds no list of addresses."""
    return hashlib.sha256("\0".join((policy.kind, *whom)).encode(errors="replace")).hexdigest()
