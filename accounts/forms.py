"""The admin's log-in."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from accounts.errors import TooManyTriesError


class LoginForm(AuthenticationForm):
    """Says how long to wait where there were too many tries."""

    def clean(self) -> Any:
        try:
            return super().clean()
        except TooManyTriesError as error:
            raise ValidationError(f"{error} ({error.wait_s} s)", code="too_many_tries") from error
