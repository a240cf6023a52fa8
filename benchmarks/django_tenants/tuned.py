"""The settings that make `migrate_schemas` fastest: a process for each of Silo's threads, and fewer SET search_path."""

from benchmarks.contestants import WORKERS
from benchmarks.django_tenants.settings import *  # noqa: F403

TENANT_MULTIPROCESSING_MAX_PROCESSES = WORKERS
TENANT_LIMIT_SET_CALLS = True
