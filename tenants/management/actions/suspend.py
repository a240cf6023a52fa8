"""``tenants suspend``: stop serving a tenant."""

from __future__ import annotations

from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.lifecycle import suspend
from tenants.routing.registry import directory

HELP = "Stop serving a tenant: its sessions end, and nobody can connect to its database."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", metavar="SLUG")


def run(options: dict[str, Any], out: TextIO) -> int:
    suspend(directory.find(options["slug"]))
    out.write(f"{options['slug']} is suspended; `manage.py tenants resume {options['slug']}` serves it again\n")
    return 0
