"""``tenants settle``: say whether an operation that was cut off took effect."""

from __future__ import annotations

from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.databases import bookkeeping
from tenants.databases.sessions import owner_session, take_change_lock
from tenants.rollout.steps import settle
from tenants.routing.registry import directory

HELP = "Say whether an operation of a non-atomic migration that was cut off took effect, so that the next run goes on."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", metavar="SLUG")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--done", action="store_true", help="It took effect: go on after it.")
    which.add_argument("--again", action="store_true", help="It did not, or can be run again: run it again.")


def run(options: dict[str, Any], out: TextIO) -> int:
    tenant = directory.find(options["slug"])
    with owner_session(tenant) as connection:
        take_change_lock(connection)
        migration = settle(connection, bookkeeping.read(connection), was_done=options["done"])
    out.write(f"{tenant.slug} can go on with {migration}: manage.py migrate_tenants --tenant {tenant.slug}\n")
    return 0
