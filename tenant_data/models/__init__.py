"""The tables in each tenant's database."""

from tenant_data.models.document import Document
from tenant_data.models.file import File

__all__ = ["Document", "File"]
