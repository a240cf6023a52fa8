"""What will go from the API says so in its replies: ``Deprecation`` (RFC 9745) and ``Sunset`` (RFC 8594).

``@deprecated(since=..., sunset=..., instead="...")`` on a method of a view. The policy is in
``docs/api/deprecation.md``; the OpenAPI marks the operations as deprecated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

from django.utils.http import http_date
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

SHORTEST = timedelta(days=180)
"""From the word to the end, at the least."""

Method = TypeVar("Method", bound=Callable[..., Response])


@dataclass(frozen=True)
class Deprecated:
    """From ``since`` on nobody should begin to use it; from ``sunset`` on it may be gone."""

    since: date
    sunset: date
    instead: str

    def __post_init__(self) -> None:
        if self.sunset - self.since < SHORTEST:
            raise ValueError(f"a client has {SHORTEST.days} days at the least, and here only until {self.sunset}")

    def headers(self) -> dict[str, str]:
        """Times are at midnight UTC. RFC 9745 writes them as a structured field, RFC 8594 as an HTTP date."""
        return {
            "Deprecation": f"@{_timestamp(self.since)}",
            "Sunset": http_date(_timestamp(self.sunset)),
            "Link": f'<{self.instead}>; rel="deprecation"',
        }


def deprecated(*, since: date, sunset: date, instead: str) -> Callable[[Method], Method]:
    """A method of a view that will go. ``instead`` is the address of the page that says what to use."""
    notice = Deprecated(since, sunset, instead)

    def mark(method: Method) -> Method:
        @extend_schema(deprecated=True)
        @wraps(method)
        def answer(view: APIView, *args: Any, **kwargs: Any) -> Response:
            # The view's, not the reply's: a refusal says it too.
            view.headers.update(notice.headers())
            return method(view, *args, **kwargs)

        return answer  # type: ignore[return-value]  # of the same arguments

    return mark


def _timestamp(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
