"""A rollout as it goes, as server-sent events (the HTML standard's ``text/event-stream``).

=============  ==============================================================================================
event          data
=============  ==============================================================================================
``progress``   the rollout, as ``GET fleet/rollouts/{id}/`` gives it without its failures; on each change
``failure``    a tenant that failed, as in the rollout's ``failures``; its ``id`` is where to go on from
``end``        the rollout, when it has ended; the stream ends with it
=============  ==============================================================================================

A reader that comes back with ``Last-Event-ID``, as browsers do by themselves, is told what failed since.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from rest_framework.renderers import BaseRenderer, JSONRenderer

from tenants.api.fleet_serializers import FailureSerializer, RolloutSerializer
from tenants.models import Rollout, RolloutAttempt

LOOKS_EVERY_S = 1.0
COMMENT_EVERY_S = 15.0
"""Proxies close what is silent for long, and only writing shows that the reader has gone."""
LONGEST_S = 300.0
"""Each reader holds a thread of the server. After this time it has to come back, which readers do by themselves."""


class EventRenderer(BaseRenderer):
    """Only for what a client may ask for; the stream is written by ``events_of``."""

    media_type = "text/event-stream"
    format = "events"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


def events_of(rollout: Rollout, *, after: int = 0, look_every_s: float = LOOKS_EVERY_S) -> Iterator[bytes]:
    """The events of a rollout from now on, and its failures after the one of this id."""
    began = spoke = time.monotonic()
    said: dict[str, Any] | None = None
    yield b"retry: 2000\n\n"
    while time.monotonic() - began < LONGEST_S:
        # Its end first: what failed was written down before it.
        rollout = Rollout.objects.select_related("started_by").get(pk=rollout.pk)
        failed = rollout.attempts.filter(state=RolloutAttempt.State.FAILED, pk__gt=after)
        for attempt in failed.select_related("tenant").order_by("pk").iterator():
            after = attempt.pk
            yield _event("failure", FailureSerializer(attempt).data, after)
        shown = RolloutSerializer(rollout).data
        has_ended = rollout.state != Rollout.State.RUNNING
        if has_ended or shown != said:
            yield _event("end" if has_ended else "progress", shown, after)
            said, spoke = shown, time.monotonic()
        elif time.monotonic() - spoke > COMMENT_EVERY_S:
            yield b": still running\n\n"
            spoke = time.monotonic()
        if has_ended:
            return
        time.sleep(look_every_s)


async def one_by_one(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same for ASGI, where Django would collect a plain iterator to its end before it sends anything."""

    def next_one() -> bytes | None:
        return next(chunks, None)

    while (chunk := await sync_to_async(next_one)()) is not None:
        yield chunk


def _event(name: str, data: Any, last: int) -> bytes:
    return f"event: {name}\nid: {last}\ndata: ".encode() + JSONRenderer().render(data) + b"\n\n"
