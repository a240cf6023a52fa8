"""``manage.py seed_demo``: demonstration users and tenants, for development."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from platform_site import demo


class Command(BaseCommand):
    help = "Make the demonstration users and tenants that are missing. Can be repeated at will."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demonstration's password is public, so it is made only where DEBUG is on.")
        for line in demo.seed():
            self.stdout.write(line)
