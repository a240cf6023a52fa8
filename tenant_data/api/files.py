"""Files over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveDestroyAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from tenant_data.api.downloads import AnyAccept, download
from tenant_data.api.errors import RangeNotSatisfiable, refusals
from tenant_data.api.serializers import FileSerializer, UploadSerializer
from tenant_data.api.uploads import FormParser, RawParser, UnreadRequest, arriving, uploaded
from tenant_data.files import delete_file
from tenant_data.models import File
from tenants.api.conditional import Conditional
from tenants.api.idempotency import Idempotent
from tenants.permissions import IsTenantMember

CATALOGUE = {
    "id": "5b0b0a0e-8c43-4e1f-9a53-6a2e1f5a7c10",
    "name": "catalogue.csv",
    "size": 52,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "content_type": "text/csv",
    "owner_id": "0d9e6f34-5f2b-4b8e-8a44-0f6d9f7f1f11",
    "created_at": "2026-11-22T09:30:00.000000Z",
}
A_FILE = OpenApiExample("A price list", value=CATALOGUE, response_only=True)


@extend_schema_view(
    get=extend_schema(
        tags=["files"],
        summary="List files",
        description="What is known of the tenant's files, the newest first. Their contents are at `content/`.",
        examples=[A_FILE],
    )
)
class FilesView(Idempotent, ListAPIView[File]):
    """A tenant's files, the newest first."""

    serializer_class = FileSerializer
    permission_classes = (IsTenantMember,)
    parser_classes = (FormParser, RawParser)

    def get_queryset(self) -> QuerySet[File]:
        return File.objects.all()

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        return UnreadRequest.like(super().initialize_request(request, *args, **kwargs))

    @extend_schema(
        tags=["files"],
        summary="Upload a file",
        description=(
            "As a form, in the field `file`; or as the body itself, with its type as `Content-Type` and its name as "
            "`?name=` or in `Content-Disposition`. The body is written to the storage as it arrives, and hashed on the "
            "way: a file may be larger than memory. It needs a `Content-Length`. The same content is stored once, "
            "whatever its names. An upload that is refused or cut off leaves nothing.\n\n"
            "`413 file_too_large` and `409 quota_exceeded` come before anything is read where the length announces "
            "too much, else as soon as too much has come. `507 storage_full` is not your doing.\n\n"
            "`content_type` in the reply is what the first bytes say; of texts, what was sent with them.\n\n"
            "With a session's cookie in place of a token, send the token against forged requests as the header "
            "`X-CSRFToken`."
        ),
        parameters=[
            OpenApiParameter("name", str, description="The file's name, where the body is the file itself."),
        ],
        request={"multipart/form-data": UploadSerializer, "application/octet-stream": OpenApiTypes.BINARY},
        responses={
            201: FileSerializer,
            411: OpenApiResponse(description="There is no `Content-Length`."),
            413: OpenApiResponse(description="It is larger than a file may be in this tenant."),
            507: OpenApiResponse(description="The platform's storage is full."),
        },
        examples=[A_FILE],
    )
    def post(self, request: Request, slug: str) -> Response:
        with refusals(), arriving(request):
            upload = UploadSerializer(data=uploaded(request))
            upload.is_valid(raise_exception=True)
            file = upload.save(owner_id=request.user.pk)
        return Response(FileSerializer(file).data, status=status.HTTP_201_CREATED)


@extend_schema_view(
    get=extend_schema(
        tags=["files"], summary="Show a file", description="What is known of one file.", examples=[A_FILE]
    ),
    delete=extend_schema(
        tags=["files"],
        summary="Delete a file",
        description=(
            "Its content goes with the last file that has it. Refused with `409 file_in_use` while a document needs it."
        ),
        responses={204: OpenApiResponse(description="It is gone.")},
    ),
)
class FileView(Conditional, RetrieveDestroyAPIView[File]):
    """One file."""

    serializer_class = FileSerializer
    permission_classes = (IsTenantMember,)
    lookup_url_kwarg = "id"

    def get_queryset(self) -> QuerySet[File]:
        return File.objects.all()

    def perform_destroy(self, instance: File) -> None:
        with refusals():
            delete_file(instance)


def header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


class FileContentView(GenericAPIView[File]):
    """What is in a file."""

    serializer_class = FileSerializer
    permission_classes = (IsTenantMember,)
    content_negotiation_class = AnyAccept
    lookup_url_kwarg = "id"

    def get_queryset(self) -> QuerySet[File]:
        return File.objects.all()

    @extend_schema(
        tags=["files"],
        summary="Download a file",
        description=(
            "Always as an attachment: what people upload is never shown as a page of this site. `ETag` is the "
            "content's SHA-256, `Last-Modified` when it was uploaded; both can be asked for with the conditional "
            "headers of RFC 9110. One range of bytes is answered with 206, several at once with the whole. HEAD "
            "answers with the same headers. Where the contents lie in a bucket, the answer is 302 to an address there "
            "that is good for a minute."
        ),
        parameters=[
            header("Range", "One part of the content: `bytes=0-1023`, `bytes=1024-`, `bytes=-512`."),
            header("If-Range", "The ETag, or the date, of what you have a part of: changed, you get the whole."),
            header("If-None-Match", "The ETag of what you have: 304 where it is still that."),
        ],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (200, "*/*"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "*/*"): OpenApiTypes.BINARY,
            302: OpenApiResponse(description="It is in a bucket, at `Location`."),
            304: OpenApiResponse(description="What you have is still what there is."),
            412: OpenApiResponse(description="It is not what `If-Match` or `If-Unmodified-Since` says."),
            416: OpenApiResponse(description="There is no such part; `Content-Range` says how many bytes there are."),
        },
        examples=[OpenApiExample("A price list", value="article,price\nanvil,129.00\n", response_only=True)],
    )
    def get(self, request: Request, slug: str, id: UUID) -> HttpResponseBase:
        with refusals():
            return download(request, self.get_object())

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if isinstance(exc, RangeNotSatisfiable):
            response["Content-Range"] = exc.content_range
        return response
