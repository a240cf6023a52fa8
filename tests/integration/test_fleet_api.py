"""One rollout over HTTP, for staff: looked at, paused, gone on with, aborted."""

import asyncio
import json
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.api.events import events_of, one_by_one
from tenants.api.fleet_serializers import StartRolloutSerializer
from tenants.management.commands.migrate_tenants import Command
from tenants.models import Rollout, RolloutAttempt, Server
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
        Rollout.objects.update(total=3, failed=1)
        reply = as_user(erin).get(path(rollout.pk))
        assert reply.status_code == 200
        shown = reply.json()
        assert shown["tenants"] == {
            "total": 3,
            "migrated": 0,
            "up_to_date": 0,
            "failed": 1,
            "skipped": 0,
            "pending": 2,
        }
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


class TheList:
    def test_is_not_counted_from_attempts(self, as_user, rollout, acme, erin):
        client = as_user(erin)
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/api/v1/fleet/rollouts/").json()["results"][0]["tenants"]["total"] == 0
        assert not [query for query in queries if "rolloutattempt" in query["sql"]]


def events(reply):
    """Names, ids and data of a stream's events, to its end."""
    found = []
    for event in b"".join(reply.streaming_content).decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], int(fields["id"]), json.loads(fields["data"])))
    return found


class Events:
    @pytest.fixture
    def failed(self, rollout, acme):
        """Two tenants that failed, in a rollout that has ended."""
        attempts = [
            RolloutAttempt.objects.create(rollout=rollout, tenant=tenant, state="failed", error="X", message="\n\nno")
            for tenant in (acme, None)
        ]
        rollout.move_to(Rollout.State.FAILED)
        return [attempt.pk for attempt in attempts]

    def test_are_the_failures_and_the_end(self, as_user, rollout, failed, erin):
        reply = as_user(erin).get(path(rollout.pk, "events"))
        assert reply["Content-Type"] == "text/event-stream"
        told = events(reply)
        assert [(name, number) for name, number, _ in told] == [
            ("failure", failed[0]),
            ("failure", failed[1]),
            ("end", failed[1]),
        ]
        assert [data.get("tenant") for _, _, data in told[:2]] == ["acme", None]
        assert told[0][2]["message"] == "\n\nno"
        assert told[-1][2]["state"] == "failed"

    def test_go_on_after_the_last_that_was_seen(self, as_user, rollout, failed, erin):
        reply = as_user(erin).get(path(rollout.pk, "events"), headers={"Last-Event-ID": str(failed[0])})
        assert [number for name, number, _ in events(reply) if name == "failure"] == failed[1:]

    def test_tell_each_change_once(self, rollout):
        stream = events_of(rollout, look_every_s=0)
        assert [next(stream).partition(b"\n")[0] for _ in range(2)] == [b"retry: 2000", b"event: progress"]
        Rollout.objects.update(migrated=5)
        assert b'"migrated":5' in next(stream)
        rollout.move_to(Rollout.State.SUCCEEDED)
        assert [chunk.partition(b"\n")[0] for chunk in stream] == [b"event: end"]

    def test_are_for_staff_only(self, as_user, rollout, alice):
        assert as_user(alice).get(path(rollout.pk, "events")).status_code == 403

    def test_are_sent_one_by_one_under_asgi(self):
        taken = []

        def chunks():
            for number in range(3):
                taken.append(number)
                yield str(number).encode()

        async def first_of(stream):
            return await anext(stream)

        assert asyncio.run(first_of(one_by_one(chunks()))) == b"0"
        assert taken == [0]


class Starting:
    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            ({"migration": "0001"}, "app_label"),
            ({"app_label": "notes", "migration": "--fake"}, "migration"),
            ({"app_label": "--fake", "migration": "notes"}, "app_label"),
            ({"tenants": ["a b"]}, "tenants"),
            ({"workers": 0}, "workers"),
            ({"only_failed": 0}, "only_failed"),
            ({"labels": {"a\0": "x"}}, "labels"),
            ({"resume": str(uuid.uuid4()), "workers": 2}, "resume"),
        ],
    )
    def test_wants_what_can_be_done(self, as_user, erin, asked, field):
        reply = as_user(erin).post("/api/v1/fleet/rollouts/", asked)
        assert (reply.status_code, reply.json()["errors"][0]["field"].split(".")[0]) == (400, field)

    def test_is_for_staff_only(self, as_user, acme, alice):
        assert as_user(alice).post("/api/v1/fleet/rollouts/", {}).status_code == 403
        assert not Rollout.objects.exists()

    def test_is_refused_where_more_is_asked_for_than_a_command_line_holds(self, as_user, erin):
        reply = as_user(erin).post("/api/v1/fleet/rollouts/", {"server": "x" * 200_000})
        assert (reply.status_code, reply.json()["code"]) == (400, "rollout_refused")
        assert not Rollout.objects.exists()

    def test_says_the_same_as_the_command_line(self):
        asked = StartRolloutSerializer(
            data={
                "app_label": "notes",
                "migration": "-1",
                "tenants": ["acme", "globex"],
                "labels": {"plan": "pro"},
                "only_failed": True,
                "max_failures": "2%",
                "lock_timeout": "3s",
            }
        )
        asked.is_valid(raise_exception=True)
        parser = Command().create_parser("manage.py", "migrate_tenants")
        options = vars(parser.parse_args(asked.arguments()))
        assert (options["app_label"], options["migration"]) == ("notes", "-1")
        assert (options["tenant"], options["label"]) == (["acme", "globex"], [("plan", "pro")])
        assert options["only_failed"]
        assert str(options["max_failures"]) == "2%"
        assert options["lock_timeout"] == timedelta(seconds=3)


class RegisteringAServer:
    SERVERS = "/api/v1/fleet/servers/"

    def test_is_refused_for_an_address_that_has_one(self, as_user, erin):
        client = as_user(erin)
        for address in ({}, {"host": "10.0.0.7"}, {"host": "10.0.0.7", "port": 5433}):
            Server.objects.get_or_create(**address, defaults={"name": f"first-{len(address)}"})
            refused = client.post(self.SERVERS, {"name": "second", **address})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "host"), address
        assert client.post(self.SERVERS, {"name": "second", "host": "10.0.0.8"}).status_code == 201
