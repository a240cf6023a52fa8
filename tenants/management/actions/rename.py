"""``tenants rename``: give a tenant another slug."""

from __future__ import annotations

from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.lifecycle import edit
from tenants.routing.registry import directory

HELP = "Give a tenant another slug. Its database keeps its name; the old slug names nobody from then on."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW", help="Lower-case letters, digits and hyphens.")


def run(options: dict[str, Any], out: TextIO) -> int:
    tenant = directory.find(options["old"])
    edit(tenant, slug=options["new"])
    out.write(f"{options['old']} is {tenant.slug} now\n")
    return 0
