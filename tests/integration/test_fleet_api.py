"""One rollout over HTTP, for staff: looked at, paused, gone on with, aborted."""

import uuid

import pytest
from django.db import connection

from tenants.models import Rollout, RolloutAttempt
from tenants.rollout.ledger import ACTIVE_LOCK

ORDERS = ("pause", "continue", "abort")


@pytest.fixture
def rollout(db):
    """One that is running: its process holds the lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ACTIVE_LOCK])
    return Rollout.objects.create(target="latest", process="here", os_user="deploy", code_version="abc")


def path(rollout_id, order=""):
    return f"/api/v1/fleet/rollouts/{rollout_id}/" + (f"{order}/" if order else "")


class ARollout:
    def test_is_shown_with_its_counts_and_failures(self, as_user, rollout, acme, erin):
        failed = {"migration": "notes.0002", "sqlstate": "23505", "error": "IntegrityError", "message": "twice"}
        RolloutAttempt.objects.create(rollout=rollout, tenant=acme, state="failed", traceback="secret", **failed)
        reply = as_user(erin).get(path(rollout.pk))
        assert reply.status_code == 200
        shown = reply.json()
        assert shown["tenants"] == {"migrated": 0, "up_to_date": 0, "failed": 1, "skipped": 0}
        assert shown["failures"] == [{"tenant": "acme", **failed, "attempts": 1}]
        assert (shown["started_by"], shown["os_user"], shown["code_version"]) == (None, "deploy", "abc")

    def test_names_no_tenant_where_the_template_failed(self, as_user, rollout, erin):
        RolloutAttempt.objects.create(rollout=rollout, tenant=None, state="failed", message="x")
        assert as_user(erin).get(path(rollout.pk)).json()["failures"][0]["tenant"] is None

    def test_is_shown_to_staff_only(self, as_user, api, rollout, acme, alice, dave):
        assert api.get(path(rollout.pk)).status_code == 401
        assert as_user(alice).get(path(rollout.pk)).status_code == 403
        assert as_user(dave).get(path(rollout.pk)).status_code == 403

    def test_that_there_is_not_is_not_found(self, as_user, erin):
        assert as_user(erin).get(path(uuid.uuid4())).status_code == 404


class AnOrder:
    def test_is_heeded_as_far_as_the_table_allows(self, as_user, rollout, erin):
        client = as_user(erin)
        said = []
        for order in ("continue", "pause", "pause", "continue", "abort", "continue"):
            reply = client.post(path(rollout.pk, order))
            said.append((order, reply.status_code))
        assert said == [
            ("continue", 409),
            ("pause", 200),
            ("pause", 409),
            ("continue", 200),
            ("abort", 200),
            ("continue", 409),
        ]
        rollout.refresh_from_db()
        assert (rollout.wanted, rollout.wanted_by) == ("abort", erin.email)

    def test_replies_with_the_rollout(self, as_user, rollout, erin):
        shown = as_user(erin).post(path(rollout.pk, "pause")).json()
        assert (shown["id"], shown["wanted"], shown["wanted_by"]) == (str(rollout.pk), "pause", erin.email)

    @pytest.mark.parametrize("order", ORDERS)
    def test_is_for_staff_only(self, as_user, api, rollout, acme, alice, dave, order):
        assert api.post(path(rollout.pk, order)).status_code == 401
        assert as_user(alice).post(path(rollout.pk, order)).status_code == 403
        assert as_user(dave).post(path(rollout.pk, order)).status_code == 403
        rollout.refresh_from_db()
        assert (rollout.wanted, rollout.wanted_by) == ("go", "")

    @pytest.mark.parametrize("order", ORDERS)
    def test_to_one_that_there_is_not_is_not_found(self, as_user, erin, order):
        assert as_user(erin).post(path(uuid.uuid4(), order)).status_code == 404

    @pytest.mark.parametrize("order", ORDERS)
    def test_to_one_that_has_ended_is_a_conflict(self, as_user, erin, order):
        ended = Rollout.objects.create(state="succeeded", target="latest", process="here")
        reply = as_user(erin).post(path(ended.pk, order))
        assert reply.status_code == 409
        assert "is succeeded" in reply.json()["detail"]

    @pytest.mark.parametrize("order", ORDERS)
    def test_to_one_whose_process_is_dead_is_a_conflict(self, as_user, erin, order):
        dead = Rollout.objects.create(target="latest", process="here")
        reply = as_user(erin).post(path(dead.pk, order))
        assert reply.status_code == 409
        assert "has died" in reply.json()["detail"]

    @pytest.mark.parametrize("order", ORDERS)
    def test_is_posted_never_got(self, as_user, rollout, erin, order):
        assert as_user(erin).get(path(rollout.pk, order)).status_code == 405
