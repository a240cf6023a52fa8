"""What an exception looks like over HTTP. Registered as REST framework's ``EXCEPTION_HANDLER``.

Messages say what the caller can do; where a tenant lives and why its database failed stays in the log.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import exception_handler as framework_handler

from tenants.context import current_alias
from tenants.errors import (
    AlreadyMemberError,
    InvalidTenantError,
    LastOwnerError,
    ProvisioningError,
    TenantBehindError,
    TenantError,
    TenantExistsError,
    TenantUnavailableError,
    TransitionError,
    UnknownTenantError,
)

logger = logging.getLogger(__name__)

SHOWN: tuple[tuple[type[TenantError], int], ...] = (
    (InvalidTenantError, status.HTTP_400_BAD_REQUEST),
    (TenantExistsError, status.HTTP_409_CONFLICT),
    (AlreadyMemberError, status.HTTP_409_CONFLICT),
    (LastOwnerError, status.HTTP_409_CONFLICT),
    (TransitionError, status.HTTP_409_CONFLICT),
)
"""Errors whose own words are for the caller, and their status."""


class ServiceUnavailable(APIException):
    """503 with ``Retry-After``."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        # Where REST framework's handler takes the header from.
        self.wait = retry_after_s


class Refused(APIException):
    """A refusal with a status of its own."""

    def __init__(self, detail: str, status_code: int) -> None:
        super().__init__(detail)
        self.status_code = status_code


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """The response to an exception; None for what nobody expected, which Django logs and answers with 500."""
    return framework_handler(_as_answer(error), context)


def _as_answer(error: Exception) -> Exception:
    for kind, status_code in SHOWN:
        if isinstance(error, kind):
            return Refused(str(error), status_code)
    if isinstance(error, UnknownTenantError):
        return Refused("Not found.", status.HTTP_404_NOT_FOUND)
    if isinstance(error, TenantBehindError):
        return ServiceUnavailable(
            "This tenant is being brought up to date; try again soon.", retry_after_s=error.retry_after_s
        )
    if isinstance(error, TenantUnavailableError):
        return ServiceUnavailable("This tenant cannot be served now.", retry_after_s=error.retry_after_s)
    if isinstance(error, ProvisioningError):
        logger.error("A tenant's database could not be made", exc_info=error)
        return ServiceUnavailable("The tenant's database could not be made yet.", retry_after_s=_SOON_S)
    if isinstance(error, OperationalError | InterfaceError) and current_alias() is not None:
        # Its server is down, full, or ended the session: the tenant's trouble, not the caller's mistake.
        logger.error("The tenant's database did not answer", exc_info=error)
        return ServiceUnavailable("This tenant cannot be served now.", retry_after_s=_SOON_S)
    return error


_SOON_S = TenantUnavailableError.retry_after_s
