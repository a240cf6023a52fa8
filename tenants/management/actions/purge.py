"""``tenants purge``: drop the tenants whose grace is over."""

from __future__ import annotations

from typing import Any, TextIO

import psycopg2
from django.core.management.base import CommandParser

from tenants.deletion import due, purge
from tenants.errors import TenantError

HELP = "Drop the databases, roles and files of deleted tenants whose grace is over. Exit 1 if one could not be dropped."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--plan", action="store_true", help="Show which, and change nothing.")


def run(options: dict[str, Any], out: TextIO) -> int:
    tenants = list(due())
    if options["plan"]:
        out.writelines(f"{tenant.slug}: {tenant.alias} on {tenant.server}\n" for tenant in tenants)
        out.write(f"{len(tenants)} to be purged\n")
        return 0
    failed = gone = 0
    for tenant in tenants:
        try:
            if purge(tenant):
                gone += 1
                out.write(f"{tenant.slug}: {tenant.alias} is gone\n")
        except (TenantError, psycopg2.Error, OSError) as error:
            # A server that is down keeps its own tenants, and no others; the next purge finds them again.
            failed += 1
            out.write(f"{tenant.slug} cannot be purged: {str(error).strip()}\n")
    out.write(f"{gone} of {len(tenants)} purged\n")
    return 1 if failed else 0
