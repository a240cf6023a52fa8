"""What machines are told at /healthz, /readyz and /metrics, and what strangers are not."""

import os

import pytest
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from tenants.context import use_tenant
from tenants.routing.connections import databases
from tenants.routing.pool import process_pool

ELSEWHERE = {"REMOTE_ADDR": "203.0.113.7"}


class Liveness:
    def test_asks_nothing_of_the_databases(self, client):
        # No database fixture: a query would fail this test.
        assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
class Readiness:
    def test_is_reached_when_the_main_database_is_migrated(self, client):
        assert client.get("/readyz").json() == {"status": "ok"}

    def test_is_refused_with_the_reason_while_the_main_database_is_behind(self, client, monkeypatch):
        monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: ["one to apply"])
        reply = client.get("/readyz")
        assert (reply.status_code, reply.json()["reason"]) == (
            503,
            "the main database is behind: run manage.py migrate",
        )

    def test_is_refused_without_details_while_the_main_database_does_not_answer(self, client, monkeypatch):
        def fail(*_: object) -> None:
            raise DatabaseError("connection to db.silo.example as silo failed")

        monkeypatch.setattr("platform_site.health.MigrationExecutor", fail)
        reply = client.get("/readyz")
        assert (reply.status_code, reply.json()["reason"]) == (503, "the main database does not answer")


@pytest.mark.django_db
class Metrics:
    def test_count_tenants_and_rollouts_by_state(self, client, acme, globex):
        assert 'silo_tenants{state="active"} 2.0' in client.get("/metrics").text.splitlines()
        assert 'silo_rollouts{state="failed"} 0.0' in client.get("/metrics").text.splitlines()

    def test_cost_two_queries(self, client, django_assert_num_queries):
        with django_assert_num_queries(2):
            client.get("/metrics")

    def test_say_how_many_connections_this_process_has(self, client, acme):
        databases().unpin(acme.alias)
        process_pool().empty(acme.alias)
        with use_tenant(acme):
            connections[acme.alias].ensure_connection()
        lines = client.get("/metrics").text.splitlines()
        idle = process_pool().numbers()["idle"]  # other tests leave some of other tenants
        assert f'silo_pool_connections{{process="{os.getpid()}",state="idle"}} {idle}.0' in lines
        assert f'silo_pool_size{{process="{os.getpid()}"}} 20.0' in lines
        assert f'silo_pool_opened_total{{process="{os.getpid()}"}} {process_pool().counts.opened}.0' in lines

    def test_do_not_exist_for_a_stranger_elsewhere(self, client):
        assert client.get("/metrics", **ELSEWHERE).status_code == 404

    def test_do_not_exist_for_a_user_who_is_not_staff(self, as_user, alice):
        assert as_user(alice).get("/metrics", **ELSEWHERE).status_code == 404

    def test_do_not_exist_for_what_a_proxy_on_this_machine_passes_on(self, client):
        assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404

    def test_are_shown_to_staff_anywhere(self, as_user, erin):
        assert as_user(erin).get("/metrics", **ELSEWHERE).status_code == 200
