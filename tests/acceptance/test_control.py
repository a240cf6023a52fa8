"""A rollout that is paused, gone on with or aborted, from another process than the one that runs it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tenants.databases.sessions import poll
from tenants.errors import TransitionError
from tenants.models import Rollout, Tenant
from tenants.models.rollout import RolloutState, Wish
from tenants.rollout.process import os_user
from tests.acceptance.test_rollouts import KilledBeforeTheRecordIsCommitted, applied_to
from tests.support.faults import WAITS_AT_THE_GATE, closed_gate
from tests.support.fleet import Fleet
from tests.support.migrations import ADD_COLOUR, NotesMigrations

SLUGS = ["first", "second", "third"]


@pytest.fixture
def tenants(fleet: Fleet, notes: NotesMigrations) -> list[Tenant]:
    """They have a migration to come that waits where a gate is closed."""
    made = fleet.make(*SLUGS)
    notes.add("0002_slow", ADD_COLOUR, "migrations.RunPython(forwards)", before=WAITS_AT_THE_GATE)
    return made


class Running:
    """A rollout in a process of its own, one tenant at a time, which has just heard of an order."""

    def __init__(self, fleet: Fleet, process: subprocess.Popen[str]) -> None:
        self.fleet, self.process = fleet, process

    def end(self) -> dict:
        out, self.err = self.process.communicate(timeout=60)
        return json.loads(out) | {"exit": self.process.returncode}

    def order(self, order: str) -> subprocess.CompletedProcess[str]:
        return self.fleet.manage("tenants", "rollout", order)

    def wait_until_it_says(self, words: str) -> None:
        assert self.process.stderr is not None
        assert any(words in line for line in self.process.stderr), f"it never said {words!r}"

    def wait_until_done(self, tenant: Tenant) -> None:
        """Until the ledger has heard of the tenant."""
        assert poll(lambda: tenant.rollout_attempts.exists(), timedelta(seconds=30))


@pytest.fixture
def paused(fleet: Fleet, tenants: list[Tenant]) -> Iterator[Running]:
    """Paused while the first tenant was in hand, which has been done since."""
    arguments = ("--canary", "first", "--workers", "1", "--format", "json")
    with closed_gate(tenants[0]) as wait_until_reached:
        running = Running(fleet, fleet.start("manage.py", "migrate_tenants", *arguments))
        wait_until_reached()
        assert fleet.call("tenants", "rollout", "pause").returncode == 0
        running.wait_until_it_says(f"paused by {os_user()}")
    running.wait_until_done(tenants[0])
    yield running
    running.process.kill()
    running.process.communicate()


class APausedRollout:
    """Its first wave has ended. Were it not paused, the next would take far less than the next order takes to come."""

    def test_goes_on_when_it_is_told(self, paused: Running, tenants: list[Tenant]) -> None:
        assert paused.order("continue").returncode == 0
        found = paused.end()
        assert (found["exit"], found["state"], found["tenants"]["migrated"]) == (0, "succeeded", 3)
        assert "goes on" in paused.err

    def test_has_begun_no_other_tenant_when_it_is_aborted(self, paused: Running, tenants: list[Tenant]) -> None:
        assert paused.order("abort").returncode == 0
        found = paused.end()
        assert (found["exit"], found["state"], found["tenants"]["pending"]) == (1, "interrupted", 2)
        assert [len(applied_to(tenant)) for tenant in tenants] == [2, 1, 1]
        assert Rollout.objects.get().state == RolloutState.INTERRUPTED

    def test_is_stopped_by_sigterm(self, paused: Running, tenants: list[Tenant]) -> None:
        paused.process.send_signal(signal.SIGTERM)
        found = paused.end()
        assert (found["exit"], found["state"], found["tenants"]["pending"]) == (143, "interrupted", 2)

    def test_is_not_paused_again(self, paused: Running) -> None:
        refused = paused.fleet.call("tenants", "rollout", "pause")
        assert refused.returncode == 2
        assert f"told to pause by {os_user()}" in refused.stderr


class AnAbortedRollout:
    def test_finishes_what_is_in_hand_and_says_who_aborted_it(self, fleet: Fleet, tenants: list[Tenant]) -> None:
        with closed_gate(tenants[0]) as wait_until_reached:
            process = fleet.start("manage.py", "migrate_tenants", "--workers", "1")
            wait_until_reached()
            running = Running(fleet, process)
            running.order("abort")
            running.wait_until_it_says(f"aborted by {os_user()}")
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "interrupted: 1 migrated, 2 pending of 3" in out
        assert f"aborted by {os_user()}" in out
        assert f"migrate_tenants --resume {str(Rollout.objects.get().pk)[:8]}" in out

    def test_is_gone_on_with_by_resume(self, fleet: Fleet, paused: Running, tenants: list[Tenant]) -> None:
        paused.order("abort")
        paused.end()
        found = fleet.migrate("--resume")
        assert (found["exit"], found["tenants"]["migrated"], found["tenants"]["up_to_date"]) == (0, 2, 1)


class AnOrder:
    @pytest.mark.parametrize("order", ["pause", "continue", "abort"])
    def test_is_refused_where_no_rollout_is_active(self, fleet: Fleet, order: str) -> None:
        refused = fleet.call("tenants", "rollout", order)
        assert refused.returncode == 2
        assert "no rollout is active" in refused.stderr

    def test_is_refused_where_the_rollouts_process_is_dead(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        fleet.start("-c", KilledBeforeTheRecordIsCommitted.KILL).communicate(timeout=60)
        refused = fleet.call("tenants", "rollout", "pause")
        assert refused.returncode == 2
        assert "has died" in refused.stderr
        assert "migrate_tenants --resume" in refused.stderr

    def test_is_refused_for_a_rollout_that_has_ended(self, fleet: Fleet) -> None:
        rollout = fleet.migrate()["rollout"]
        refused = fleet.call("tenants", "rollout", "abort", rollout[:8])
        assert refused.returncode == 2
        assert "is succeeded" in refused.stderr


@pytest.mark.django_db
class TheStates:
    def test_change_as_their_table_has_it_and_in_no_other_way(self) -> None:
        rollout = Rollout.objects.create(target="latest", process="here")
        rollout.move_to(RolloutState.SUCCEEDED)
        assert rollout.finished_at is not None
        for state in RolloutState:
            with pytest.raises(TransitionError, match="is succeeded"):
                rollout.move_to(state)

    def test_of_what_is_wanted_too(self) -> None:
        rollout = Rollout.objects.create(target="latest", process="here")
        with pytest.raises(TransitionError):
            rollout.want(Wish.GO, by="erin")
        for wish in (Wish.PAUSE, Wish.GO, Wish.PAUSE, Wish.ABORT):
            rollout.want(wish, by="erin")
        for wish in Wish:
            with pytest.raises(TransitionError, match="told to abort by erin"):
                rollout.want(wish, by="bob")
        assert (rollout.wanted, rollout.wanted_by) == (Wish.ABORT, "erin")
