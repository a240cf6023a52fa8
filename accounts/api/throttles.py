"""How often one may try. Guessing passwords is slowed down in ``accounts.backends``."""

from __future__ import annotations

from django.core.cache import caches
from django.db import transaction
from django.http import HttpRequest
from rest_framework.throttling import AnonRateThrottle

from accounts.brakes import MAIL_FROM, MAIL_TO, count_try, sweep
from accounts.senders import sender_of


class RegistrationThrottle(AnonRateThrottle):
    """Thirty new accounts a minute from one address."""

    cache = caches["limits"]

    scope = "register"
    rate = "30/min"


def count_mail(request: HttpRequest, email: str) -> None:
    """Count an e-mail that somebody asks for, sent or not; raises ``TooManyTriesError``."""
    with transaction.atomic(using="default"):
        count_try(MAIL_FROM, sender_of(request))
        count_try(MAIL_TO, email.strip().lower())
    sweep()
