"""Refusals of the accounts API that REST framework has no class for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework import status
from rest_framework.exceptions import APIException, AuthenticationFailed, Throttled

from accounts.errors import InvalidLinkError, PasswordChangedError, TooManyTriesError


class InvalidLink(APIException):
    """The link from an e-mail was used already, has expired or was cut short; ask for a new one."""

    status_code = status.HTTP_404_NOT_FOUND
    default_detail = str(InvalidLinkError())
    default_code = "invalid_link"


class EmailNotVerified(APIException):
    """The e-mail address is not verified yet; follow the link that was mailed, or ask for another one."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "Verify your e-mail address first: follow the link we sent, or ask for another one."
    default_code = "email_not_verified"


@contextmanager
def as_replies() -> Iterator[None]:
    """Answer the accounts' own errors: 401, 404, and 429 with ``Retry-After``."""
    try:
        yield
    except InvalidLinkError as error:
        raise InvalidLink from error
    except PasswordChangedError as error:
        raise AuthenticationFailed(str(error)) from error
    except TooManyTriesError as error:
        raise Throttled(wait=error.wait_s) from error
