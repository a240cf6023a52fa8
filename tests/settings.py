"""The project's settings, on a PostgreSQL of this test run's own, with one more tenant app.

The run's other processes, xdist's workers and the children of tests, are told by the environment which run they belong
to; and a test's children, which main database the test has and where it is, and which migrations.
"""

import os

from platform_site import embedded
from platform_site.settings import *  # noqa: F403
from platform_site.settings import DATABASES, INSTALLED_APPS, MIGRATION_MODULES, TENANT_APPS

RUN = os.environ.setdefault("SILO_TEST_RUN", str(os.getpid()))
SILO_DATA_DIR = embedded.data_dir_of_tests(RUN)
DATABASES["default"] = embedded.settings_for(SILO_DATA_DIR, durable=False)
if "SILO_TEST_DATABASE" in os.environ:
    DATABASES["default"]["NAME"] = os.environ["SILO_TEST_DATABASE"]
if "SILO_TEST_MAIN_PORT" in os.environ:
    # A main database that the test ends: the embedded one would be started again by the next connection.
    elsewhere = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["SILO_TEST_MAIN_PORT"],
    }
    DATABASES["default"] |= elsewhere

TENANT_APPS = [*TENANT_APPS, "tests.apps.notes"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.apps.notes"]
MIGRATION_MODULES |= {"notes": os.environ.get("SILO_TEST_MIGRATIONS", "tests.apps.notes.migrations")}


TENANT_FILES_ROOT = SILO_DATA_DIR / "files"
# Whoever tests sends more than people do; the tests of the limits set them.
USER_REQUESTS_PER_MINUTE = TENANT_REQUESTS_PER_MINUTE = 0
# Argon2 is slow on purpose; what is stored for the users of tests protects nobody.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
