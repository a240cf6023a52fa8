"""``tenants resume``: serve a suspended tenant again."""

from __future__ import annotations

from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.lifecycle import resume
from tenants.routing.registry import directory

HELP = "Serve a suspended tenant again, at the fleet's head."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", metavar="SLUG")


def run(options: dict[str, Any], out: TextIO) -> int:
    resume(directory.find(options["slug"]))
    out.write(f"{options['slug']} is active\n")
    return 0
