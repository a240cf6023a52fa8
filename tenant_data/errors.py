"""Expected failures of the tenant's data. The first line of each docstring is the message people read."""

from __future__ import annotations

from tenants.errors import TenantError


class FileNameError(TenantError):
    """The file has no usable name."""


class FileInUseError(TenantError):
    """The file cannot be deleted while a document needs it."""


class ContentMissingError(TenantError):
    """The file's content is missing from the storage."""
