"""``tenants undelete``: take a deletion back."""

from __future__ import annotations

from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.deletion import undo_deletion
from tenants.routing.registry import directory

HELP = "Bring a tenant that is being deleted back to what it was, while its grace lasts."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", metavar="SLUG")


def run(options: dict[str, Any], out: TextIO) -> int:
    tenant = directory.find(options["slug"])
    undo_deletion(tenant)
    out.write(f"{tenant.slug} is {tenant.state}\n")
    return 0
