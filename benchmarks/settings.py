"""Silo's settings for its fleet of the benchmark: in production's manner, on a PostgreSQL of the benchmark's own.

That PostgreSQL is durable. The tests' app `notes` is a tenant app beside Silo's own, with the benchmark's migrations.
"""

from platform_site import embedded
from platform_site.settings import *  # noqa: F403
from platform_site.settings import DATABASES, INSTALLED_APPS, MIGRATION_MODULES, TENANT_APPS

DEBUG = False  # With it Django keeps every statement in memory.
SILO_DATA_DIR = embedded.data_dir_of_tests("bench")
DATABASES["default"] = embedded.settings_for(SILO_DATA_DIR)
TENANT_APPS = [*TENANT_APPS, "tests.apps.notes"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.apps.notes"]
MIGRATION_MODULES = {**MIGRATION_MODULES, "notes": "benchmarks.migrations"}
