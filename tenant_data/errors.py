"""Expected failures of the tenant's data. The first line of each docstring is the message people read."""

from __future__ import annotations

from tenants.errors import TenantError


class FileNameError(TenantError):
    """The file has no usable name."""


class FileInUseError(TenantError):
    """The file cannot be deleted while a document needs it."""


class ContentMissingError(TenantError):
    """The file's content is missing from the storage."""


class FileTooLargeError(TenantError):
    """The file is larger than a file may be."""


class QuotaExceededError(TenantError):
    """The tenant has no room for this file; delete files, or ask for a larger quota."""


class StorageFullError(TenantError):
    """The storage has no room left."""


class UploadCutOffError(TenantError):
    """The upload ended before all of it had arrived; send it again."""


class TooLongToCompareError(TenantError):
    """The versions are too long to be compared."""
