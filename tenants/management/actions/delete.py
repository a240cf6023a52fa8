"""``tenants delete``: take a tenant out of service, for good when its grace is over."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from tenants.deletion import begin_deletion, purge
from tenants.routing.registry import directory

HELP = "Take a tenant out of service; `tenants purge` drops it when its grace is over."
REFUSED = 2


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", metavar="SLUG")
    parser.add_argument("--now", action="store_true", help="Without a grace: drop its database at once.")
    parser.add_argument("--noinput", action="store_false", dest="interactive", help="Ask nothing.")


def run(options: dict[str, Any], out: TextIO) -> int:
    tenant = directory.find(options["slug"])
    if not options["now"]:
        begin_deletion(tenant)
        until = f"{tenant.delete_at:%Y-%m-%d %H:%M} UTC"
        out.write(
            f"{tenant.slug} is out of service; `manage.py tenants undelete {tenant.slug}` takes it back until {until}\n"
        )
        return 0
    if options["interactive"]:
        _ask(tenant.slug)
    begin_deletion(tenant, grace=timedelta())
    purge(tenant)
    out.write(f"{tenant.slug} is gone, with its database {tenant.alias}\n")
    return 0


def _ask(slug: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to ask on; say --noinput. Nothing was deleted.", returncode=REFUSED)
    sys.stderr.write(f"This cannot be taken back. Type the slug to drop {slug}: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != slug:
        raise CommandError("Nothing was deleted.", returncode=REFUSED)
