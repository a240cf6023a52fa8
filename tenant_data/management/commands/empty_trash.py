"""``manage.py tenants run --all -- empty_trash``: delete for good what has been in the trash for long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from tenant_data.documents import empty_trash
from tenants.errors import NoTenantError


class Command(BaseCommand):
    help = "Delete for good the current tenant's documents that were put in the trash long ago, with their versions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="What was put there more days ago; default 30.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            deleted = empty_trash(timezone.now() - timedelta(days=options["days"]))
        except NoTenantError as error:
            raise CommandError("Say in which tenants: manage.py tenants run SLUG... | --all -- empty_trash") from error
        self.stdout.write(f"deleted {deleted} document{'' if deleted == 1 else 's'}")
