"""The tables in each tenant's database."""

from tenant_data.models.allowance import Allowance
from tenant_data.models.document import Document
from tenant_data.models.file import File
from tenant_data.models.version import DocumentVersion

__all__ = ["Allowance", "Document", "DocumentVersion", "File"]
