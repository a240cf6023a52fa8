"""Errors as problem documents: ``application/problem+json``, RFC 9457.

``{"type", "title", "status", "detail", "code", "request_id"}``, and ``"errors": [{"field", "code", "detail"}]`` where
single fields are wrong. ``code`` is for programs and stays as it is; ``title`` and ``detail`` are for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.utils.decorators import sync_and_async_middleware
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.settings import api_settings

from tenants.api.request_ids import current_request_id

if TYPE_CHECKING:
    from django.http import HttpRequest

CONTENT_TYPE = "application/problem+json"
TYPES = "/api/errors/#"
"""What all types begin with: the page that explains them, in this installation."""

_BY_STATUS = {
    400: ("bad_request", "The request cannot be understood."),
    403: ("permission_denied", "You may not do this."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    500: ("internal_error", "Something went wrong here. It is in the log under this request's id."),
    503: ("unavailable", "This cannot be served now; try again soon."),
}
"""What is said where no view did: Django itself or a middleware refused."""


def problem(status: int, code: str, detail: str, errors: Sequence[dict[str, Any]] = ()) -> JsonResponse:
    """A problem document. Its title is the code in words, so equal types have equal titles."""
    document: dict[str, Any] = {
        "type": TYPES + code,
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": current_request_id(),
    }
    if errors:
        document["errors"] = list(errors)
    return JsonResponse(document, status=status, content_type=CONTENT_TYPE)


def problem_of(error: APIException) -> JsonResponse:
    """The problem document of an exception of REST framework's family."""
    if isinstance(error.detail, ErrorDetail):
        return problem(error.status_code, str(error.detail.code), str(error.detail))
    errors = list(mistakes(error.detail))
    where = "; ".join(f"{one['field']}: {one['detail']}" if one["field"] else one["detail"] for one in errors[:3])
    more = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
    return problem(error.status_code, str(error.default_code), where + more, errors)


def mistakes(detail: Any, path: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """What is wrong with each field, flat. ``field`` is dotted (``items.0.title``), null for the request as a whole."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from mistakes(inner, path if name == api_settings.NON_FIELD_ERRORS_KEY else (*path, str(name)))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            # A list of messages is about one field; a list of lists or objects is one of items.
            yield from mistakes(inner, path if isinstance(inner, str) else (*path, str(index)))
    else:
        code = getattr(detail, "code", None) or "invalid"
        yield {"field": ".".join(path) or None, "code": code, "detail": str(detail)}


@sync_and_async_middleware
def problem_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Below ``/api/`` every error is a problem document, one that no view of the API made too.

    Unknown addresses, hosts that are not ours, faults: Django answers these with pages of HTML, with DEBUG on it even
    shows its settings there. Stands outside of all that may refuse a request.
    """
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            return _as_problem(request, await get_response(request))

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        return _as_problem(request, get_response(request))

    return answer


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if response.status_code < 400 or not request.path_info.startswith("/api/"):
        return response
    if not isinstance(response, HttpResponse) or response.get("Content-Type") == CONTENT_TYPE:
        return response
    code, detail = _BY_STATUS.get(response.status_code, ("error", "The request was refused."))
    # The same response with other words: its headers say what to do, and Django knows it as logged.
    response.content = problem(response.status_code, code, detail).content
    response["Content-Type"] = CONTENT_TYPE
    response["Content-Length"] = str(len(response.content))
    return response
