"""Django's own `migrate` for one database after the other, in one process."""

from __future__ import annotations

import django

django.setup()

# What follows needs the apps, hence E402.
from django.core.management import call_command  # noqa: E402
from django.core.management.commands.migrate import Command  # noqa: E402
from django.db import connections  # noqa: E402

from benchmarks.by_hand.fleet import made  # noqa: E402


def main() -> None:
    for alias in made():
        call_command(Command(), database=alias, verbosity=0)
        connections[alias].close()


if __name__ == "__main__":
    main()
