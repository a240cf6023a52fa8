#!/usr/bin/env python3
"""Django's command line."""

import gc
import os
import sys

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""A command makes many objects and drops few: at Python's own 700, looking for garbage takes a seventh of its time."""


def main() -> None:
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    gc.disable()  # What is made while starting stays; `platform_site.apps` has garbage collected from there on.
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError:
        sys.exit("Django is not installed for this Python. Run `make setup`, then .venv/bin/python manage.py ...")
    from platform_site.embedded import EmbeddedPostgresError

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, EmbeddedPostgresError) as error:
        # Written for the person who set the value: a traceback would bury the name and the mend.
        sys.exit(f"Silo cannot start. {error}")
    finally:
        gc.freeze()  # What is left goes with the process: looking through it for garbage takes longer than a tenant.


if __name__ == "__main__":
    main()
