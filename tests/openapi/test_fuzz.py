"""schemathesis over the whole OpenAPI, on a server as in production, as each of those who may ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import transaction

from accounts.models import User
from tenants.api.made_examples import METHODS
from tenants.databases.sessions import owner_session
from tenants.members import add_member
from tenants.models import Role, Rollout, Tenant
from tenants.rollout.control import abort
from tests.conftest import PASSWORD
from tests.support.fleet import PROJECT, Fleet, ended
from tests.support.web import served

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("SILO_FUZZ", "")
SEED = os.environ.get("SILO_FUZZ_SEED", "7")
PEOPLE = {"owner": Role.OWNER, "viewer": Role.VIEWER, "stranger": None, "staff": None}
WHO = os.environ.get("SILO_FUZZ_WHO", "").split() or list(PEOPLE)
TENANTS = ("home", "deleted", "renamed", "left", "emptied", "suspended")
"""One that stays as it is, and one for each of what would put an end to it: see ``hooks.py``."""

OPERATIONS = {
    f"{method.upper()} {path}"
    for path, operations in yaml.safe_load((PROJECT / "docs" / "openapi.yaml").read_text())["paths"].items()
    for method in METHODS
    if method in operations
}

pytestmark = pytest.mark.skipif(not EXAMPLES, reason="`make fuzz` does it; it takes half an hour")


def person(name: str, tenants: list[Tenant] | None = None, role: Role | None = None, *, is_staff: bool = False) -> User:
    user = User.objects.create_user(email=f"{name}@silo.example", password=PASSWORD, name=name, is_staff=is_staff)
    if role:
        for tenant in tenants or ():
            add_member(tenant, user, role)
    return user


@pytest.fixture(scope="module")
def diaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: what each person was answered."""
    return tmp_path_factory.mktemp("diaries")


@pytest.mark.parametrize("who", WHO)
def test_nothing_is_answered_otherwise_than_the_openapi_says(fleet: Fleet, tmp_path: Path, diaries: Path, who: str):
    tenants = fleet.make(*TENANTS)
    maker = person("maker", [*tenants, *fleet.make("joined", "held")], Role.OWNER, is_staff=True)
    user = person(who, tenants, PEOPLE[who], is_staff=who == "staff")
    told: dict[str, Any] = {
        "email": user.email,
        "password": PASSWORD,
        "id": str(user.pk),
        "is_staff": user.is_staff,
        "role": PEOPLE[who],
        "maker": maker.email,
        "letters": str(tmp_path / "letters"),
        "diary": str(diaries / who),
        "seed": SEED,
    }
    # Whoever calls names another address each time, as if it were forwarded: see `things.py`.
    held = Tenant.objects.get(slug="held")
    letters = f"filemail:///{told['letters']}"
    with (
        held_table(held, "notes_note"),
        served(fleet, "", tmp_path / "log", TRUSTED_PROXIES="1", EMAIL_URL=letters) as server,
    ):
        url = told["url"] = f"http://127.0.0.1:{server.port}"
        command = ["--config-file", str(HERE / "schemathesis.toml"), "run", "docs/openapi.yaml", "--url", url]
        settings = ["--checks=all", f"--max-examples={EXAMPLES}", f"--seed={SEED}"]
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *command, *settings],
            cwd=PROJECT,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.openapi.hooks", "SILO_FUZZ_TOLD": json.dumps(told)},
            check=False,
        )
        end_rollout()
    assert done.returncode == 0
    assert not [line for line in answers(diaries / who) if line.startswith("5")]
    if PEOPLE[who]:  # and it was not all 404
        assert tenants[0].associations.get(user=user).role == PEOPLE[who]


def test_each_operation_was_done_by_somebody(diaries: Path):
    """Else what is behind it has not been tried."""
    lines = [line for diary in diaries.iterdir() for line in answers(diary)]
    done = {operation for status, operation in (line.split(" ", 1) for line in lines) if status.startswith("2")}
    never = sorted(OPERATIONS - done)
    sys.stdout.write(f"\nOperations never answered with 2xx, by {', '.join(WHO)}: {len(never)}\n")
    sys.stdout.writelines(f"  {operation}\n" for operation in never)
    assert not never or WHO != list(PEOPLE)


@contextmanager
def held_table(tenant: Tenant, table: str) -> Iterator[None]:
    """Nobody may drop it: a rollout that would tries again and again, so that there is time to order it about."""
    with owner_session(tenant) as connection, connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        with transaction.atomic(using=tenant.alias):
            cursor.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
            yield


def answers(diary: Path) -> list[str]:
    return diary.read_text().splitlines()


def end_rollout() -> None:
    """What is active, or paused, would hold the test's tenants."""
    for rollout in Rollout.objects.filter(state=Rollout.State.RUNNING):
        abort(rollout, by="")
        ended(rollout)
