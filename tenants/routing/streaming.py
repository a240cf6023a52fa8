"""A response's body that is made while it is sent, which is after the request has left its tenant.

The tenant is current in the body as it was in the view: each step of its iterator runs in a context of its own, where
the tenant was entered. Between two steps the server's code goes on with no tenant. The body has a connection of its
own, which is given back when the response is closed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextvars import Context
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any

from tenants.context import context_under

if TYPE_CHECKING:
    from django.http import HttpResponseBase

    from tenants.models import Tenant

_END = object()


def bind_body(response: HttpResponseBase, tenant: Tenant) -> None:
    """Have the body of a streaming response made under a tenant. Called when the view has left it.

    A file that is open is left alone: it needs no tenant, and the server may send it faster than through an iterator.
    """
    if not response.streaming or _is_open_file(getattr(response, "file_to_stream", None)):
        return
    streaming: Any = response
    context, leave = context_under(tenant)
    body = _async_body if streaming.is_async else _body
    # What the response closes at its end, such as the view's generator, may have a `finally` that needs the tenant.
    closers = [partial(context.run, close) for close in streaming._resource_closers]
    streaming.streaming_content = body(streaming.streaming_content, context)
    streaming._resource_closers[:] = [*closers, leave]


def _body(chunks: Iterator[bytes], context: Context) -> Iterator[bytes]:
    while (chunk := context.run(next, chunks, _END)) is not _END:
        yield chunk  # type: ignore[misc]


async def _async_body(chunks: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    # It is awaitable by its decorator, which its type does not say.
    while (chunk := await _within(context, lambda: anext(chunks, _END))) is not _END:  # type: ignore[misc]
        yield chunk


@coroutine
def _within(context: Context, start: Callable[[], Awaitable[Any]]) -> Generator[Any, Any, Any]:
    """Await what ``start`` gives in another context. A task of its own would break time-outs and cancel scopes."""
    steps = context.run(lambda: start().__await__())
    step = partial(steps.send, None)
    while True:
        try:
            waited_for = context.run(step)
        except StopIteration as end:
            return end.value
        try:
            step = partial(steps.send, (yield waited_for))
        except BaseException as error:  # a cancellation, for the body to see
            step = partial(steps.throw, error)


def _is_open_file(file: Any) -> bool:
    try:
        return file is not None and file.fileno() >= 0
    except (AttributeError, OSError):
        return False
