"""Expected failures of the accounts app. The first line of each docstring is the message people read."""

from __future__ import annotations

from datetime import timedelta
from math import ceil


class AccountError(Exception):
    """The account cannot do this."""

    def __str__(self) -> str:
        return (type(self).__doc__ or "").strip().splitlines()[0]


class TooManyTriesError(AccountError):
    """Too many tries; wait a little before the next."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(wait)
        self.wait_s = ceil(wait.total_seconds())


class PasswordChangedError(AccountError):
    """The password was changed meanwhile; log in again."""


class InvalidLinkError(AccountError):
    """This link was used already, has expired or was cut short; ask for a new one."""
