"""Sending a file's content so that no browser takes it for a page of this site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.http import FileResponse
from rest_framework.negotiation import DefaultContentNegotiation

from tenant_data.files import UNKNOWN_CONTENT_TYPE, open_file

if TYPE_CHECKING:
    from rest_framework.renderers import BaseRenderer
    from rest_framework.request import Request

    from tenant_data.models import File

HARMLESS_CONTENT_TYPES = frozenset(
    {
        "application/json",
        "application/pdf",
        "application/zip",
        "audio/mpeg",
        "audio/ogg",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
        "video/mp4",
        "video/webm",
    }
)
"""Sent as the uploader said. All others, HTML, SVG and XML among them, are sent as bytes of no known kind."""


class AnyAccept(DefaultContentNegotiation):
    """A download has the type it has, whatever the client would rather accept."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


def attachment(file: File) -> FileResponse:
    """The response that sends a file of the current tenant. Raises ``ContentMissingError``."""
    harmless = file.content_type in HARMLESS_CONTENT_TYPES
    response = FileResponse(
        open_file(file),
        as_attachment=True,
        filename=file.name,
        content_type=file.content_type if harmless else UNKNOWN_CONTENT_TYPE,
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private"
    return response
