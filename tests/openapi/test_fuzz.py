"""schemathesis over the whole OpenAPI, on a server as in production, as each of those who may ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from accounts.models import User
from tenants.members import add_member
from tenants.models import Role, Tenant
from tests.conftest import PASSWORD
from tests.support.fleet import PROJECT, Fleet
from tests.support.web import served

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("SILO_FUZZ", "")
SEED = os.environ.get("SILO_FUZZ_SEED", "7")
TENANTS = ("home", "deleted", "renamed", "left", "emptied", "suspended")
"""One that stays as it is, and one for each of what would put an end to it: see ``hooks.py``."""


def person(name: str, tenants: list[Tenant], role: Role | None, *, is_staff: bool = False) -> User:
    user = User.objects.create_user(email=f"{name}@silo.example", password=PASSWORD, name=name, is_staff=is_staff)
    if role:
        for tenant in tenants:
            add_member(tenant, user, role)
    return user


@pytest.mark.skipif(not EXAMPLES, reason="`make fuzz` does it; it takes a quarter of an hour")
@pytest.mark.parametrize(
    ("who", "role"), [("owner", Role.OWNER), ("viewer", Role.VIEWER), ("stranger", None), ("staff", None)]
)
def test_nothing_is_answered_otherwise_than_the_openapi_says(fleet: Fleet, tmp_path: Path, who: str, role: Role | None):
    tenants = fleet.make(*TENANTS)
    person("somebody", tenants, Role.OWNER)
    user = person(who, tenants, role, is_staff=who == "staff")
    diary = tmp_path / "diary"
    told = {"email": user.email, "password": PASSWORD, "tenants": {name: name for name in TENANTS}, "diary": str(diary)}
    with served(fleet, "", tmp_path / "log") as server:
        command = ["run", "docs/openapi.yaml", "--url", f"http://127.0.0.1:{server.port}", "--checks", "all"]
        settings = [
            "--max-examples",
            EXAMPLES,
            "--seed",
            SEED,
            "--generation-database",
            "none",
            "--continue-on-failure",
        ]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "schemathesis.cli",
                "--config-file",
                HERE / "schemathesis.toml",
                *command,
                *settings,
            ],
            cwd=PROJECT,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.openapi.hooks", "SILO_FUZZ_TOLD": json.dumps(told)},
            check=False,
        )
    assert done.returncode == 0
    assert not [line for line in diary.read_text().splitlines() if line.startswith("5")]
    if role:  # and it was not all 404
        assert {tenants[0].associations.get(user=user).role} == {role}
