"""Taking a file from a request as it arrives: straight into the tenant's storage, hashed on the way, never held."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.db import connections
from django.http import HttpRequest, QueryDict, UnreadablePostError
from django.utils.http import parse_header_parameters
from rest_framework import parsers
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request, is_form_media_type

from tenant_data.api.errors import LengthRequired
from tenant_data.errors import UploadCutOffError
from tenant_data.files import CHUNK_BYTES
from tenant_data.limits import Limits, current_limits
from tenant_data.storage.incoming import Incoming, Received
from tenants.context import required_alias

FIELD = "file"
BESIDE_THE_FILE_BYTES = 1024 * 1024
"""What a form may weigh beside its file before its length alone tells that the file is too large."""


class UnreadRequest(Request):
    """A request whose body is not read before the view asks for it.

    The check against forged requests looks for its token in the body before the header, and would have the file put
    into the storage before anybody knows who sends it. So who uploads with a session's cookie sends the header.
    """

    @classmethod
    def like(cls, request: Request) -> UnreadRequest:
        return cls(
            request._request,
            parsers=request.parsers,
            authenticators=cast(Any, request.authenticators),
            negotiator=request.negotiator,
            parser_context=request.parser_context,
        )

    @property
    def POST(self) -> Any:  # type: ignore[override]  # the stubs have an attribute, REST framework a property
        return QueryDict()


@dataclass(frozen=True)
class Arrived:
    """A file that has arrived whole, as the serializer takes it; it is dropped unless it is kept."""

    name: str
    content_type: str
    received: Received

    @property
    def size(self) -> int:
        return self.received.size

    def close(self) -> None:
        """Django closes a request's files at its end; this one is dropped by ``arriving``."""


class Arrival(FileUploadHandler):
    """Puts the field ``file`` into the tenant's storage, chunk by chunk. What another field sends is skipped."""

    chunk_size = CHUNK_BYTES

    def __init__(self, request: HttpRequest, limits: Limits) -> None:
        super().__init__(request)
        self._limits = limits
        self._incoming: Incoming | None = None

    def new_file(self, field_name: str, file_name: str, content_type: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, file_name, content_type, *args, **kwargs)
        if field_name != FIELD:
            raise SkipFile
        if self._incoming is not None:
            raise ValidationError({FIELD: ["Send one file a request."]})
        self._incoming = Incoming(required_alias(), self._limits.check)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._arriving.write(raw_data)

    def file_complete(self, file_size: int) -> Any:
        # Not the UploadedFile of Django's stubs: nothing of it is asked but name and size.
        return Arrived(self.file_name or "", self.content_type or "", self._arriving.finish())

    def discard(self) -> None:
        if self._incoming is not None:
            self._incoming.discard()

    @property
    def _arriving(self) -> Incoming:
        assert self._incoming is not None, "Django opens a file before it sends its chunks"
        return self._incoming


class WholeBody:
    """A request's body that raises ``UploadCutOffError`` where it ends before the length that was announced."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self._stream, self._left = stream, length

    def read(self, size: int) -> bytes:
        try:
            chunk = self._stream.read(size)
        except UnreadablePostError as error:
            raise UploadCutOffError from error
        self._left -= len(chunk)
        if not chunk and self._left > 0:
            raise UploadCutOffError(f"{self._left} bytes are missing")
        return chunk


class FormParser(parsers.MultiPartParser):
    """A form with a field ``file``."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(_whole(stream, parser_context), media_type, parser_context)
        except SuspiciousOperation as error:
            # Too many fields, or too large ones, by Django's own limits.
            raise ParseError(str(error)) from error


class RawParser(parsers.BaseParser):
    """The file itself as the body, of whatever type, and its name beside it."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        request: Request = parser_context["request"]
        (arrival,) = request.upload_handlers
        arrival.new_file(FIELD, raw_name(request), media_type or "", None)
        body, size = _whole(stream, parser_context), 0
        while chunk := body.read(CHUNK_BYTES):
            arrival.receive_data_chunk(chunk, size)
            size += len(chunk)
        return parsers.DataAndFiles({}, {FIELD: arrival.file_complete(size)})


def uploaded(request: Request) -> Any:
    """``request.data``; but REST framework asks no parser about an empty body, and that is an empty file here."""
    if content_length(request) or is_form_media_type(request.content_type):
        return request.data
    return RawParser().parse(io.BytesIO(), request.content_type, {"request": request}).files


@contextmanager
def arriving(request: Request) -> Iterator[None]:
    """Have the request's file put into the current tenant's storage by ``uploaded``.

    What was not kept by then is gone on leaving. Refuses with 413 or 409 what is too large by its announced length,
    before any of it is read, and with 411 what announces none: Django would take its body for empty.
    """
    if not request.META.get("CONTENT_LENGTH") and request.META.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired
    limits = current_limits()
    limits.check(max(content_length(request) - BESIDE_THE_FILE_BYTES, 0))
    give_connection_back()
    arrival = Arrival(request._request, limits)
    request._request.upload_handlers = [arrival]
    try:
        yield
    finally:
        arrival.discard()


def give_connection_back() -> None:
    """A body may take minutes to arrive: others may have this thread's connection to the tenant meanwhile."""
    connection = connections[required_alias()]
    if not connection.in_atomic_block:
        connection.close()


def raw_name(request: Request) -> str:
    """The name that goes with a raw body: ``?name=``, or ``Content-Disposition``, plain or as RFC 8187 encodes it.

    Raises ``ValidationError`` where there is none.
    """
    try:
        _, parameters = parse_header_parameters(request.META.get("HTTP_CONTENT_DISPOSITION", ""))
    except (ValueError, LookupError) as error:
        raise ValidationError({"name": [f"Content-Disposition cannot be read: {error}"]}) from error
    name = request.query_params.get("name") or parameters.get("filename")
    if not name:
        how = "Send a form with a field `file`; or the file itself, and its name as `?name=` or in Content-Disposition."
        raise ValidationError({FIELD: [how]}, "file_name_missing")
    return name


def content_length(request: Request) -> int:
    """As announced; 0 where it is no number, as Django takes it."""
    announced = request.META.get("CONTENT_LENGTH") or "0"
    return int(announced) if announced.isdecimal() else 0


def _whole(stream: Any, parser_context: Any) -> Any:
    return WholeBody(stream, content_length(parser_context["request"]))
