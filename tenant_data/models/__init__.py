"""The tables in each tenant's database."""

from tenant_data.models.allowance import Allowance
from tenant_data.models.document import Document
from tenant_data.models.file import File

__all__ = ["Allowance", "Document", "File"]
