"""The tenant data's expected failures as answers, each with a status and a stable code."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework import status
from rest_framework.exceptions import APIException

from tenant_data.errors import (
    ContentMissingError,
    FileInUseError,
    FileNameError,
    FileTooLargeError,
    QuotaExceededError,
    StorageFullError,
    UploadCutOffError,
)
from tenants.errors import TenantError

logger = logging.getLogger(__name__)


class FileNameInvalid(APIException):
    """The file has no name that can be used: send another in the form, as `?name=` or in `Content-Disposition`."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "file_name_invalid"


class UploadCutOff(APIException):
    """The body ended before its `Content-Length`; nothing was kept, send it again."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "upload_cut_off"


class ContentMissing(APIException):
    """The file's content is not in the storage; tell whoever runs this installation."""

    status_code = status.HTTP_404_NOT_FOUND
    default_code = "content_missing"
    default_detail = "The content of this file is not in the storage."


class FileInUse(APIException):
    """A document needs the file; take it out of the document first."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "file_in_use"


class QuotaExceeded(APIException):
    """The tenant has no room for the file; delete files, or ask for a larger quota."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "quota_exceeded"


class LengthRequired(APIException):
    """The upload has no `Content-Length`; send one, a chunked body is not taken."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Say in Content-Length how long the body is; a chunked one is not taken."


class OtherContent(APIException):
    """The file is another than `If-Match` or `If-Unmodified-Since` says."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = "The file is another than your If-Match or If-Unmodified-Since says."


class FileTooLarge(APIException):
    """The file is larger than a file may be in this tenant."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "file_too_large"


class RangeNotSatisfiable(APIException):
    """The file has no such part; `Content-Range` says how many bytes it has."""

    status_code = status.HTTP_416_REQUESTED_RANGE_NOT_SATISFIABLE
    default_code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes.")
        self.content_range = f"bytes */{size}"


class StorageFull(APIException):
    """The platform's storage is full; nothing was kept. Whoever runs this installation has been told."""

    status_code = status.HTTP_507_INSUFFICIENT_STORAGE
    default_code = "storage_full"
    default_detail = "The storage is full; nothing was kept. Whoever runs this installation has been told."


ANSWERS: dict[type[TenantError], type[APIException]] = {
    FileNameError: FileNameInvalid,
    UploadCutOffError: UploadCutOff,
    FileInUseError: FileInUse,
    QuotaExceededError: QuotaExceeded,
    FileTooLargeError: FileTooLarge,
}
"""Errors whose own words are for the caller."""

OURS: dict[type[TenantError], type[APIException]] = {ContentMissingError: ContentMissing, StorageFullError: StorageFull}
"""Not the caller's doing: these are logged, and their words stay there."""


@contextmanager
def refusals() -> Iterator[None]:
    """What the tenant's data refuse inside is answered as the tables say."""
    try:
        yield
    except tuple(ANSWERS) as error:
        raise ANSWERS[type(error)](str(error)) from error
    except tuple(OURS) as error:
        logger.exception("A file cannot be kept, or read")
        raise OURS[type(error)] from error
