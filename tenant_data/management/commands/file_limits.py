"""``file_limits``: how large the current tenant's files may be, and how much it may keep."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tenant_data.limits import said_limits, used_bytes
from tenant_data.models import Allowance
from tenant_data.sizes import parse_size, show_size

DEFAULT = "default"


class Command(BaseCommand):
    help = "Show or set the current tenant's limits: tenants run SLUG -- file_limits --quota 20GiB"

    def add_arguments(self, parser: CommandParser) -> None:
        sizes = "5GiB, 200MiB, bytes; 0 for no limit; `default` for the installation's"
        parser.add_argument("--quota", type=size_or_default, help=f"Of all files together: {sizes}.")
        parser.add_argument("--file-size", type=size_or_default, help=f"Of a file: {sizes}.")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = {"quota": options["quota"], "file_size_limit": options["file_size"]}
        changes = {name: None if value == DEFAULT else value for name, value in asked.items() if value is not None}
        if changes:
            Allowance.objects.update_or_create(id=1, defaults=changes)
        limits = said_limits()
        self.stdout.write(
            f"{_shown(limits.file_size)} a file, {_shown(limits.quota)} in all, {show_size(used_bytes())} used"
        )


def size_or_default(text: str) -> int | str:
    if text == DEFAULT:
        return text
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _shown(limit: int) -> str:
    return show_size(limit) if limit else "any size"
