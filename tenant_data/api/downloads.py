"""Sending a file's content so that no browser takes it for a page of this site."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from django.conf import settings
from django.http import FileResponse, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date
from rest_framework import status
from rest_framework.negotiation import DefaultContentNegotiation

from tenant_data.api.errors import OtherContent, RangeNotSatisfiable
from tenant_data.api.ranges import Part, UnsatisfiableRangeError, is_still, part_of
from tenant_data.content_types import UNKNOWN_CONTENT_TYPE
from tenant_data.files import CHUNK_BYTES
from tenant_data.storage.contents import contents
from tenant_data.storage.place import place_of
from tenants.context import required_alias

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
"""Sent as what they are. All others, HTML, SVG and XML among them, are sent as bytes of no known kind."""


class AnyAccept(DefaultContentNegotiation):
    """A download has the type it has, whatever the client would rather accept."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class ContentResponse(FileResponse):
    """A file's content, or a part of it, in chunks."""

    block_size = CHUNK_BYTES


class Section(io.RawIOBase):
    """A part of an open file as a file of its own. It is no more than read and closed."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file, self._left = file, part.size
        file.seek(part.first)

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        self._file.close()
        super().close()


def download(request: Request, file: File) -> HttpResponseBase:
    """The answer that sends a file of the current tenant, a part of it, or says that the client has it already.

    Raises ``ContentMissingError``, ``OtherContent`` and ``RangeNotSatisfiable``.
    """
    answer = _unchanged(request, file)
    if answer is None:
        answer = _sent_by_another(file) or _sent(request, file)
        answer["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=file.name) or ""
    answer["ETag"] = etag_of(file)
    answer["Last-Modified"] = http_date(file.created_at.timestamp())
    answer["Accept-Ranges"] = "bytes"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer["Cache-Control"] = "private"
    return answer


def etag_of(file: File) -> str:
    """The hash of the content, which is as strong as a validator can be."""
    return f'"{file.sha256}"'


def _unchanged(request: Request, file: File) -> HttpResponseBase | None:
    """304 where the client's own copy will do; refuses with 412 where it asked for another one; else None."""
    last_modified = int(file.created_at.timestamp())
    answer = get_conditional_response(request._request, etag_of(file), last_modified)
    if answer is not None and answer.status_code == status.HTTP_412_PRECONDITION_FAILED:
        raise OtherContent
    return answer


def _sent_by_another(file: File) -> HttpResponseBase | None:
    """Where nginx or the bucket sends the content itself, the answer that has it do so."""
    alias = required_alias()
    if settings.TENANT_FILES_BUCKET:
        disposition = content_disposition_header(as_attachment=True, filename=file.name) or ""
        url = contents().signed_url(alias, file.sha256, content_type=shown_type(file), disposition=disposition)
        return HttpResponseRedirect(url) if url else None
    if settings.TENANT_FILES_ACCEL:
        answer = HttpResponse(content_type=shown_type(file))
        answer["X-Accel-Redirect"] = settings.TENANT_FILES_ACCEL + quote(place_of(alias, file.sha256))
        return answer
    return None


def _sent(request: Request, file: File) -> HttpResponseBase:
    part = _part_asked_for(request, file)
    content = contents().open(required_alias(), file.sha256)
    if request.method == "HEAD":
        content.close()
        return HttpResponse(content_type=shown_type(file), headers={"Content-Length": str(file.size)})
    if part is None:
        return ContentResponse(content, content_type=shown_type(file))
    answer = ContentResponse(Section(content, part), content_type=shown_type(file), status=206)
    answer["Content-Length"] = str(part.size)
    answer["Content-Range"] = str(part)
    return answer


def _part_asked_for(request: Request, file: File) -> Part | None:
    """None where all is asked for. ``Range`` means something to GET only."""
    if_range = request.headers.get("If-Range")
    if request.method != "GET" or (if_range and not is_still(if_range, etag_of(file), file.created_at)):
        return None
    try:
        return part_of(request.headers.get("Range", ""), file.size)
    except UnsatisfiableRangeError as error:
        raise RangeNotSatisfiable(file.size) from error


def shown_type(file: File) -> str:
    return file.content_type if file.content_type in HARMLESS_CONTENT_TYPES else UNKNOWN_CONTENT_TYPE
