"""A name for each request, so that a reply, its log lines and a report of a fault can be put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

REQUEST_ID = "X-Request-ID"
# It goes into log lines and replies, so nothing that could end a line, colour a terminal or fill a disk.
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+=-]{7,127}")

_current: ContextVar[str | None] = ContextVar("silo_request_id", default=None)


def current_request_id() -> str | None:
    """The id of the request that is being answered, or None outside one."""
    return _current.get()


@sync_and_async_middleware
def request_id_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Gives each request an id, its sender's if that is sane, and sends it back. Stands before all other middleware."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            with _named(request) as request_id:
                return _with_id(await get_response(request), request_id)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        with _named(request) as request_id:
            return _with_id(get_response(request), request_id)

    return answer


@contextmanager
def _named(request: HttpRequest) -> Iterator[str]:
    sent = request.headers.get(REQUEST_ID, "")
    request_id = sent if _SANE.fullmatch(sent) else str(uuid4())
    request.request_id = request_id  # type: ignore[attr-defined]  # for what is logged once it is answered
    token = _current.set(request_id)
    try:
        yield request_id
    finally:
        _current.reset(token)


def _with_id(response: HttpResponseBase, request_id: str) -> HttpResponseBase:
    response[REQUEST_ID] = request_id
    return response
