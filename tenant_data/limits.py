"""How large a file may be, and how much a tenant may keep in all.

What counts is what is stored: the same content under several names counts once. What arrives needs room as if it were
new, since only at its end it is known whether the tenant has it already. It is counted from the rows in the
tenant's database, each time, so it cannot drift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings
from django.db import connections
from django.db.models import Sum

from tenant_data.errors import FileTooLargeError, QuotaExceededError
from tenant_data.models import Allowance, File
from tenant_data.sizes import show_size
from tenants.context import required_alias

_QUOTA_LOCK = 0x51_10_F1_1E5
"""Of PostgreSQL's advisory locks in the tenant's database, the one that recording an upload takes."""


@dataclass(frozen=True)
class Limits:
    """In bytes; 0 is no limit. ``used`` is what the tenant keeps; it is counted only where there is a quota."""

    file_size: int
    quota: int
    used: int = 0

    def check(self, size: int) -> None:
        """Raise ``FileTooLargeError`` or ``QuotaExceededError`` where one more content of this size is too much."""
        if self.file_size and size > self.file_size:
            raise FileTooLargeError(f"a file may have {show_size(self.file_size)}", limit=self.file_size)
        if self.quota and self.used + size > self.quota:
            raise QuotaExceededError(
                f"{show_size(self.used)} of {show_size(self.quota)} are used", quota=self.quota, used=self.used
            )


def said_limits() -> Limits:
    """What is said for the current tenant, with nothing counted."""
    said = Allowance.objects.first() or Allowance()
    return Limits(
        settings.TENANT_FILE_SIZE_LIMIT if said.file_size_limit is None else said.file_size_limit,
        settings.TENANT_QUOTA if said.quota is None else said.quota,
    )


def current_limits() -> Limits:
    """The current tenant's, with what it keeps now."""
    said = said_limits()
    return replace(said, used=used_bytes()) if said.quota else said


def used_bytes() -> int:
    """What the current tenant's contents have together, each counted once."""
    contents = File.objects.order_by().values("sha256", "size").distinct()
    return contents.aggregate(used=Sum("size"))["used"] or 0


def hold_quota() -> None:
    """Keep others from recording an upload until the transaction ends: two at once must not both take the last room."""
    with connections[required_alias()].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_QUOTA_LOCK])
