"""Rollouts that are started over HTTP: they run in a process of their own."""

from __future__ import annotations

import json

import pytest
from knox.models import get_token_model
from rest_framework.test import APIClient

from accounts.models import User
from tenants.models import Rollout, Tenant
from tests.support.faults import WAITS_AT_THE_GATE, closed_gate
from tests.support.fleet import Fleet, as_owner, ended, in_other_processes
from tests.support.migrations import ADD_COLOUR, NotesMigrations

ROLLOUTS = "/api/v1/fleet/rollouts/"


@pytest.fixture
def staff(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> APIClient:
    """Erin, who is really in main."""
    in_other_processes(fleet, monkeypatch)
    _, token = get_token_model().objects.create(user=User.objects.create_superuser("erin@example.com"))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def tenants(fleet: Fleet, notes: NotesMigrations) -> list[Tenant]:
    made = fleet.make("first", "second")
    notes.add("0002_slow", ADD_COLOUR, "migrations.RunPython(forwards)", before=WAITS_AT_THE_GATE)
    return made


class ARolloutOverHTTP:
    def test_is_carried_out_and_watched_to_its_end(
        self, tenants: list[Tenant], staff: APIClient, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_other_processes(fleet, monkeypatch)
        started = staff.post(ROLLOUTS, {"app_label": "notes", "on_error": "continue"})
        assert started.status_code == 202
        reply = staff.get(f"{started['Location']}events/")
        last = b"".join(reply.streaming_content).decode().rstrip().rpartition("data: ")[2]  # type: ignore[attr-defined]
        shown = json.loads(last)
        assert (shown["id"], shown["state"], shown["started_by"]) == (
            started.json()["id"],
            "succeeded",
            "erin@example.com",
        )
        assert (shown["tenants"]["total"], shown["tenants"]["migrated"], shown["tenants"]["pending"]) == (2, 2, 0)

    def test_goes_on_when_the_process_that_started_it_has_ended(
        self, tenants: list[Tenant], staff: APIClient, fleet: Fleet
    ) -> None:
        script = (
            "import django; django.setup(); from tenants.rollout.detached import start; "
            "print(start([], by='erin@example.com').pk)"
        )
        with closed_gate(tenants[0]) as wait_until_reached:
            starter = fleet.start("-c", script)
            started, _ = starter.communicate(timeout=60)
            wait_until_reached()
            assert Rollout.objects.get(pk=started.strip()).state == "running"
        assert ended(Rollout.objects.get()).state == "succeeded"

    def test_that_is_refused_says_why(self, tenants: list[Tenant], staff: APIClient) -> None:
        reply = staff.post(ROLLOUTS, {"tenants": ["nobody"]})
        assert (reply.status_code, reply.json()["code"]) == (400, "rollout_refused")
        assert "nobody" in reply.json()["detail"]
        assert not Rollout.objects.exists()

    def test_waits_for_no_other(self, tenants: list[Tenant], staff: APIClient, fleet: Fleet) -> None:
        with closed_gate(tenants[0]) as wait_until_reached:
            running = fleet.start("manage.py", "migrate_tenants", "--tenant", "first")
            wait_until_reached()
            reply = staff.post(ROLLOUTS, {})
        running.communicate(timeout=60)
        assert (reply.status_code, reply.json()["code"]) == (409, "rollout_active")
        assert str(Rollout.objects.get().pk) in reply.json()["detail"]


class Drift:
    def test_is_shown_for_the_tenants_that_have_some(self, fleet: Fleet, staff: APIClient) -> None:
        first, _second = fleet.make("first", "second")
        as_owner(first, "ALTER TABLE tenant_data_file ADD COLUMN note text")
        found = staff.get("/api/v1/fleet/drift/").json()
        assert [one["tenant"] for one in found["results"]] == ["first"]
        assert "note" in found["results"][0]["added"][0]
        assert staff.get("/api/v1/fleet/drift/?page_size=1").json()["next"]
