"""What an exception looks like over HTTP. Registered as REST framework's ``EXCEPTION_HANDLER``.

Messages say what the caller can do; where a tenant lives and why its database failed stays in the log.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, PermissionDenied
from rest_framework.views import exception_handler as framework_handler

from tenants.api.problems import problem_of
from tenants.context import current_alias
from tenants.errors import (
    AlreadyMemberError,
    InvalidInvitationError,
    InvalidTenantError,
    LastOwnerError,
    NotMemberError,
    OtherAddressError,
    ProvisioningError,
    RoleError,
    RolloutActiveError,
    RolloutRefusedError,
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
    (RolloutActiveError, status.HTTP_409_CONFLICT),
    (RolloutRefusedError, status.HTTP_400_BAD_REQUEST),
    (RoleError, status.HTTP_403_FORBIDDEN),
    (OtherAddressError, status.HTTP_403_FORBIDDEN),
    (NotMemberError, status.HTTP_404_NOT_FOUND),
    (InvalidInvitationError, status.HTTP_404_NOT_FOUND),
)
"""Errors whose own words are for the caller, and their status. The code is the class's name: see ``code_of``."""

_CODES: dict[type[TenantError], str] = {TransitionError: "wrong_state", RoleError: "permission_denied"}


class TryLater(APIException):
    """A refusal with ``Retry-After``."""

    def __init__(self, detail: str | None = None, *, retry_after_s: int = TenantUnavailableError.retry_after_s) -> None:
        super().__init__(detail)
        # Where REST framework's handler takes the header from.
        self.wait = retry_after_s


class ServiceUnavailable(TryLater):
    """It cannot be served now; try again after ``Retry-After`` seconds."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = "This cannot be served now; try again soon."


class TenantUnavailable(ServiceUnavailable):
    """The tenant cannot be served now; try again after ``Retry-After`` seconds."""

    default_code = "tenant_unavailable"
    default_detail = "This tenant cannot be served now; try again soon."


class TenantBehind(ServiceUnavailable):
    """The tenant is being brought up to date; try again after ``Retry-After`` seconds."""

    default_code = "tenant_behind"
    default_detail = "This tenant is being brought up to date; try again soon."


class TenantNotReady(ServiceUnavailable):
    """The tenant's database could not be made yet; send the request again after ``Retry-After`` seconds."""

    default_code = "tenant_not_ready"
    default_detail = "The tenant's database could not be made yet; send the request again."


class Refused(APIException):
    """A refusal with a status and a code of its own."""

    def __init__(self, detail: str, status_code: int, code: str) -> None:
        super().__init__(detail, code)
        self.status_code = status_code


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """The response to an exception; None for what nobody expected, which Django logs and answers with 500."""
    if isinstance(error, Http404):
        error = NotFound()  # Django's words name models
    elif isinstance(error, DjangoPermissionDenied):
        error = PermissionDenied()
    else:
        error = _as_answer(error)
    plain = framework_handler(error, context)
    if plain is None or not isinstance(error, APIException):
        return None
    response = problem_of(error)
    for header, value in plain.headers.items():
        if header != "Content-Type":
            response[header] = value
    return response


def code_of(kind: type[TenantError]) -> str:
    """``TenantExistsError`` is ``tenant_exists``."""
    if kind in _CODES:
        return _CODES[kind]
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__.removesuffix("Error")).lower()


def _as_answer(error: Exception) -> Exception:
    for kind, status_code in SHOWN:
        if isinstance(error, kind):
            return Refused(str(error), status_code, code_of(kind))
    if isinstance(error, UnknownTenantError):
        return NotFound()
    if isinstance(error, TenantBehindError):
        return TenantBehind(retry_after_s=error.retry_after_s)
    if isinstance(error, TenantUnavailableError):
        return TenantUnavailable(retry_after_s=error.retry_after_s)
    if isinstance(error, ProvisioningError):
        logger.error("A tenant's database could not be made", exc_info=error)
        return TenantNotReady()
    if isinstance(error, OperationalError | InterfaceError):
        # The server is down, full, or ended the session: not the caller's mistake.
        logger.error("The database of %s did not answer", current_alias() or "main", exc_info=error)
        return TenantUnavailable() if current_alias() else ServiceUnavailable()
    return error
