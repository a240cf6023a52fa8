"""``gc_files``: collect what killed uploads left in the current tenant. ``tenants gc-files`` runs it in many."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tenant_data.garbage import GRACE, collect
from tenant_data.sizes import show_size


class Command(BaseCommand):
    help = "Remove what killed uploads left in the current tenant. Says nothing where there is nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only look.")
        parser.add_argument(
            "--grace-seconds",
            type=int,
            default=int(GRACE.total_seconds()),
            help="Leave an upload that was written to within this time. Default: an hour.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = collect(timedelta(seconds=options["grace_seconds"]), dry_run=options["dry_run"])
        if found:
            self.stdout.write(
                f"{found.uploads} cut off while arriving, {found.contents} without a file, {show_size(found.size)}: "
                + ("would be removed" if options["dry_run"] else "removed")
            )
