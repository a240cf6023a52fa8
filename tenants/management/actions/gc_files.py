"""``tenants gc-files``: collect what killed uploads left, in one tenant after the other."""

from __future__ import annotations

import io
from typing import Any, TextIO

from django.core.management import call_command, get_commands
from django.core.management.base import CommandError, CommandParser

from tenants.context import use_tenant
from tenants.errors import TenantError
from tenants.models import Tenant
from tenants.rollout.selection import Selection

HELP = "Remove what killed uploads left: what never arrived whole, and contents that no file has."
COMMAND = "gc_files"
"""It comes with the tenant app that keeps files, of which this room knows nothing more."""


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", nargs="*", metavar="SLUG", help="Only in these; default: in every active tenant.")
    parser.add_argument("--dry-run", action="store_true", help="Only look.")


def run(options: dict[str, Any], out: TextIO) -> int:
    if COMMAND not in get_commands():
        raise CommandError("No app in TENANT_APPS keeps files: none has the command gc_files.", returncode=2)
    tenants = [one for one in Selection(slugs=tuple(options["slug"])).tenants() if one.state == Tenant.State.ACTIVE]
    found, failed = 0, 0
    for tenant in tenants:
        said = io.StringIO()
        try:
            with use_tenant(tenant):
                call_command(COMMAND, dry_run=options["dry_run"], stdout=said)
        except (TenantError, OSError) as error:
            failed += 1
            said.write(f"failed: {type(error).__name__}: {error}\n")
        if line := said.getvalue():
            found += 1
            out.write(f"{tenant.slug}: {line}")
    out.write(f"{len(tenants)} tenants looked at, {found - failed} with something to collect, {failed} failed\n")
    return 1 if failed else 0
