"""Signing in by email and password, in the API and in the admin alike. Guessing is slowed down."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.http import HttpRequest

from accounts.brakes import (
    LOG_IN_FROM,
    LOG_IN_TO,
    LOG_IN_TO_FROM,
    count_try,
    is_known,
    remember,
    sweep,
    take_back,
)
from accounts.models import User
from accounts.senders import sender_of


class BrakedBackend(ModelBackend):
    """Django's own, with brakes: one for the account, and one for the sender, whatever account he tries.

    A sender from which the account was logged in to of late has a brake of his own for it: guesses from elsewhere slow
    down other senders only.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Raises ``TooManyTriesError``. An unknown address is counted, and costs the same time, as a known one."""
        email, sender = (
            str(username or kwargs.get("email") or "").strip().lower(),
            sender_of(request) if request else "",
        )
        with transaction.atomic(using="default"):
            known = is_known(LOG_IN_TO_FROM, email, sender)
            account = (LOG_IN_TO_FROM, email, sender) if known else (LOG_IN_TO, email)
            # Here and below always the account first, or two could wait for each other.
            count_try(*account)
            count_try(LOG_IN_FROM, sender)
        user: User | None = super().authenticate(request, username=email, password=password)
        if user is None:
            sweep()
            return None
        with transaction.atomic(using="default"):
            if not known:
                take_back(LOG_IN_TO, email)
            remember(LOG_IN_TO_FROM, email, sender)
            take_back(LOG_IN_FROM, sender)
        return user
