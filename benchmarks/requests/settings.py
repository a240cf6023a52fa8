"""Silo's settings for requests: main is connected for good. The environment says which main database it is."""

import os

from benchmarks.settings import *  # noqa: F403
from benchmarks.settings import DATABASES

DATABASES["default"] |= {"NAME": os.environ["SILO_BENCH_DATABASE"], "CONN_MAX_AGE": None}
USER_REQUESTS_PER_MINUTE = TENANT_REQUESTS_PER_MINUTE = 10**9  # counted, and never reached
