"""The project's settings on a PostgreSQL of the benchmark's own, which is durable, with the tests' app `notes`."""

import os

from platform_site import embedded
from platform_site.settings import *  # noqa: F403
from platform_site.settings import DATABASES, INSTALLED_APPS, TENANT_APPS

SILO_DATA_DIR = embedded.data_dir_from_environment() / "bench"
DATABASES["default"] = embedded.settings_for(SILO_DATA_DIR)
TENANT_APPS = [*TENANT_APPS, "tests.apps.notes"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.apps.notes"]
MIGRATION_MODULES = {"notes": os.environ.get("SILO_BENCH_MIGRATIONS", "tests.apps.notes.migrations")}
