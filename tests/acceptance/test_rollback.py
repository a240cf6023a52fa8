"""Taking back what a rollout did: the tenants that it advanced, each to where that stood before, and no other."""

from __future__ import annotations

import pytest

from tenants.lifecycle import resume, suspend
from tenants.models import Rollout, RolloutAttempt, Tenant
from tests.acceptance.test_rollouts import (
    applied_to,
    columns_of,
    schema_of,
)
from tests.support.faults import migrate_tenants_killed_where
from tests.support.fleet import Fleet, as_owner, told
from tests.support.migrations import ADD_COLOUR, ADD_INDEXED, RAISES_ON_A_BAD_NOTE, NotesMigrations


def roll_back(fleet: Fleet, rollout: str, *arguments: str) -> dict:
    done = fleet.call("tenants", "rollback", rollout, "--noinput", "--format", "json", *arguments)
    return told(done) | {"err": done.stderr}


def counts(found: dict) -> dict:
    return {name: number for name, number in found["tenants"].items() if number}


@pytest.fixture
def two_heads(fleet: Fleet, notes: NotesMigrations) -> tuple[Tenant, Tenant]:
    """The first tenant is a migration ahead of the second; one more is to come."""
    first, second = fleet.make("first", "second")
    notes.add("0002_colour", ADD_COLOUR)
    assert fleet.migrate("--tenant", "first")["exit"] == 0
    notes.add("0003_rank", ADD_INDEXED)
    return first, second


class ARollback:
    def test_takes_each_tenant_to_where_it_stood_before(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        before = [schema_of(tenant) for tenant in two_heads]
        rollout = fleet.migrate()["rollout"]
        found = roll_back(fleet, rollout)
        assert (found["exit"], found["state"], counts(found)) == (0, "succeeded", {"total": 2, "migrated": 2})
        assert found["target"] == f"before rollout {rollout[:8]}"
        assert [schema_of(tenant) for tenant in two_heads] == before
        assert [len(applied_to(tenant)) for tenant in two_heads] == [2, 1]

    def test_touches_only_what_the_rollout_advanced(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        first, second = two_heads
        one = fleet.migrate("--tenant", "first")["rollout"]
        fleet.migrate()
        assert counts(roll_back(fleet, one)) == {"total": 1, "migrated": 1}
        assert (len(applied_to(first)), len(applied_to(second))) == (2, 3)

    def test_is_a_rollout_of_its_own_in_the_ledger(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        taken = fleet.migrate()["rollout"]
        rollback = Rollout.objects.get(pk=roll_back(fleet, taken[:8])["rollout"])
        assert rollback.options["rolls_back"]["origin"] == taken
        assert {attempt.head_after["notes"] for attempt in rollback.attempts.all()} == {"0001_initial", "0002_colour"}

    def test_takes_back_a_rollout_that_went_backwards_too(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        fleet.migrate()
        back = fleet.migrate("notes", "zero")["rollout"]
        assert counts(roll_back(fleet, back)) == {"total": 2, "migrated": 2}
        assert [len(applied_to(tenant)) for tenant in two_heads] == [3, 3]

    def test_takes_back_a_rollback(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        rollback = roll_back(fleet, fleet.migrate()["rollout"])["rollout"]
        assert counts(roll_back(fleet, rollback)) == {"total": 2, "migrated": 2}
        assert [len(applied_to(tenant)) for tenant in two_heads] == [3, 3]

    def test_of_what_was_only_recorded_takes_the_records_only(
        self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]
    ) -> None:
        first, _ = two_heads
        faked = fleet.migrate("--fake", "--tenant", "first")["rollout"]
        assert roll_back(fleet, faked)["exit"] == 0
        assert (len(applied_to(first)), columns_of(first)) == (2, {"id", "text", "colour"})

    def test_has_nothing_to_do_where_the_rollout_did_nothing(self, fleet: Fleet) -> None:
        fleet.make("first")
        found = roll_back(fleet, fleet.migrate()["rollout"])
        assert (found["exit"], found["state"], counts(found)) == (0, "nothing_to_do", {})

    def test_has_nothing_to_do_the_second_time(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        rollout = fleet.migrate()["rollout"]
        roll_back(fleet, rollout)
        found = roll_back(fleet, rollout)
        assert (found["state"], counts(found)) == ("nothing_to_do", {"total": 2, "up_to_date": 2})


class ATenantThatHasMovedOn:
    def test_by_a_later_rollout_is_skipped_and_named(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        first, second = two_heads
        rollout = fleet.migrate("notes", "0002")["rollout"]
        fleet.migrate("--tenant", "second")
        found = roll_back(fleet, rollout)
        assert (found["exit"], counts(found)) == (0, {"total": 1, "skipped": 1})
        assert "skipped second: another rollout has moved it since" in found["err"]
        assert (len(applied_to(first)), len(applied_to(second))) == (2, 3)

    def test_by_other_means_is_skipped_too(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        _, second = two_heads
        rollout = fleet.migrate()["rollout"]
        as_owner(second, "DELETE FROM django_migrations WHERE name = '0003_rank'")
        found = roll_back(fleet, rollout)
        assert counts(found) == {"total": 2, "migrated": 1, "skipped": 1}
        assert "not by a rollout" in found["err"]
        assert len(applied_to(second)) == 2

    def test_between_the_plan_and_its_turn_is_left_alone(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        """The plan is asked of the tenants; the worker asks once more, under the tenant's lock."""
        from tenants.rollout.rollback import plan_rollback
        from tenants.rollout.runner import run_rollout

        _, second = two_heads
        planned = plan_rollback(fleet.migrate()["rollout"])
        fleet.migrate("notes", "0002", "--tenant", "second")
        assert planned.request is not None
        report = run_rollout(planned.request)
        assert report.skipped == [("second", "another rollout has moved it since")]
        assert len(applied_to(second)) == 2

    def test_out_of_service_is_skipped(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        rollout = fleet.migrate()["rollout"]
        suspend(two_heads[1])
        found = roll_back(fleet, rollout)
        assert counts(found) == {"total": 2, "migrated": 1, "skipped": 1}
        assert "skipped second: it is suspended" in found["err"]


class AMigrationThatCannotBeTakenBack:
    def test_is_refused_before_any_tenant_is_touched(self, fleet: Fleet, notes: NotesMigrations) -> None:
        tenants = fleet.make("first", "second")
        nothing = "def forwards(apps, schema_editor): pass"
        notes.add("0002_data", ADD_COLOUR, "migrations.RunPython(forwards)", before=nothing)
        notes.add("0003_rank", ADD_INDEXED)
        rollout = fleet.migrate()["rollout"]
        refused = fleet.call("tenants", "rollback", rollout, "--noinput")
        assert refused.returncode == 2
        assert "notes.0002_data is not reversible" in refused.stderr
        assert [len(applied_to(tenant)) for tenant in tenants] == [3, 3]
        assert Rollout.objects.count() == 1


class ARolloutThatEndedBadly:
    def test_is_taken_back_where_it_succeeded(self, fleet: Fleet, notes: NotesMigrations) -> None:
        first, second = fleet.make("first", "second")
        as_owner(second, "INSERT INTO notes_note (text) VALUES ('bad')")
        raises = RAISES_ON_A_BAD_NOTE
        notes.add("0002_colour", ADD_COLOUR)
        reversible = "migrations.RunPython(forwards, migrations.RunPython.noop)"
        notes.add("0003_picky", reversible, before=raises)
        failed = fleet.migrate("--on-error", "continue")
        assert (len(applied_to(first)), len(applied_to(second))) == (3, 2)
        assert counts(roll_back(fleet, failed["rollout"])) == {"total": 2, "migrated": 2}
        assert (len(applied_to(first)), len(applied_to(second))) == (1, 1)

    def test_by_a_kill_before_the_ledger_was_written_is_taken_back(self, fleet: Fleet, notes: NotesMigrations) -> None:
        """The ledger has heard of no tenant; the tenants' own databases know."""
        tenants = fleet.make("first", "second", "third")
        notes.add("0002_colour", ADD_COLOUR)
        notes.add("0003_rank", ADD_INDEXED)
        fleet.start("-c", killed_at(tenants[1], 3), "--workers=1").communicate(timeout=60)
        assert [len(applied_to(tenant)) for tenant in tenants] == [3, 2, 1]
        RolloutAttempt.objects.all().delete()
        assert counts(roll_back(fleet, str(Rollout.objects.get().pk))) == {"total": 2, "migrated": 2}
        assert [len(applied_to(tenant)) for tenant in tenants] == [1, 1, 1]


def killed_at(tenant: Tenant, migrations: int) -> str:
    """Code that dies in the transaction that leaves a tenant with so many migrations of `notes`."""
    count = f"SELECT count(*) = {migrations} FROM public.django_migrations WHERE app = 'notes'"
    return migrate_tenants_killed_where(f"{count} AND current_database() = '{tenant.alias}'")


class ARollbackThatWasKilled:
    @pytest.fixture
    def killed(self, fleet: Fleet, notes: NotesMigrations) -> tuple[list[Tenant], str]:
        """Half-way back in the second of three tenants, which had been a migration ahead of the others."""
        tenants = fleet.make("first", "second", "third")
        notes.add("0002_colour", ADD_COLOUR)
        fleet.migrate("--tenant", "second")
        notes.add("0003_rank", ADD_INDEXED)
        notes.add("0004_size", 'migrations.AddField("note", "size", models.TextField(default=""))')
        rollout = fleet.migrate("--workers", "1")["rollout"]
        kill = killed_at(tenants[1], 2).replace('"migrate_tenants", ', "")
        fleet.start("-c", kill, "tenants", "rollback", rollout, "--noinput").communicate(timeout=60)
        assert [len(applied_to(tenant)) for tenant in tenants] == [1, 3, 4]
        return tenants, rollout

    def test_goes_on_when_it_is_resumed(self, fleet: Fleet, killed: tuple[list[Tenant], str]) -> None:
        tenants, _ = killed
        assert fleet.migrate("--resume")["exit"] == 0
        assert [len(applied_to(tenant)) for tenant in tenants] == [1, 2, 1]

    def test_goes_on_when_it_is_asked_for_again(self, fleet: Fleet, killed: tuple[list[Tenant], str]) -> None:
        tenants, rollout = killed
        assert counts(roll_back(fleet, rollout)) == {"total": 3, "migrated": 2, "up_to_date": 1}
        assert [len(applied_to(tenant)) for tenant in tenants] == [1, 2, 1]
        (late,) = fleet.make("late")
        assert len(applied_to(late)) == 1


class ANewTenant:
    """Is made where the fleet stands."""

    def test_is_made_at_the_earlier_head_after_the_fleet_was_taken_back(
        self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]
    ) -> None:
        fleet.migrate("notes", "0002")
        rollout = fleet.migrate()["rollout"]
        assert roll_back(fleet, rollout)["exit"] == 0
        (late,) = fleet.make("late")
        assert applied_to(late) == ["0001_initial", "0002_colour"]
        assert schema_of(late) == schema_of(two_heads[0])

    def test_is_made_as_before_after_some_were_taken_back(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        fleet.migrate()
        fleet.migrate("notes", "0002", "--tenant", "second")
        again = fleet.migrate("--tenant", "second")["rollout"]
        assert counts(roll_back(fleet, again)) == {"total": 1, "migrated": 1}
        assert len(applied_to(two_heads[1])) == 2
        (late,) = fleet.make("late")
        assert len(applied_to(late)) == 3

    def test_that_was_made_since_is_not_taken_back(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        rollout = fleet.migrate()["rollout"]
        (made_since,) = fleet.make("late")
        assert counts(roll_back(fleet, rollout)) == {"total": 2, "migrated": 2}
        assert len(applied_to(made_since)) == 3

    def test_that_was_resumed_since_at_the_fleets_head_is_taken_for_moved_on(
        self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]
    ) -> None:
        _, second = two_heads
        rollout = fleet.migrate("notes", "0002", "--tenant", "second")["rollout"]
        suspend(second)
        fleet.migrate()
        resume(second)
        assert counts(roll_back(fleet, rollout)) == {"total": 1, "skipped": 1}
        assert len(applied_to(second)) == 3


class TheCommand:
    def test_shows_the_plan_and_asks(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        rollout = fleet.migrate()["rollout"]
        refused = fleet.manage("tenants", "rollback", rollout)
        assert refused.returncode == 2
        assert "--noinput" in refused.stderr
        assert "take back notes.0003_rank" in refused.stderr
        assert [len(applied_to(tenant)) for tenant in two_heads] == [3, 3]

    def test_plans_and_changes_nothing(self, fleet: Fleet, two_heads: tuple[Tenant, Tenant]) -> None:
        rollout = fleet.migrate()["rollout"]
        shown = fleet.call("tenants", "rollback", rollout, "--plan")
        assert shown.returncode == 0
        assert "1 tenant at notes.0003_rank" in shown.stdout
        planned = told(fleet.call("tenants", "rollback", rollout, "--plan", "--format", "json"))
        assert (planned["state"], counts(planned)) == ("planned", {"total": 2, "pending": 2})
        assert Rollout.objects.count() == 2

    @pytest.mark.parametrize("rollout", ["nonsense", "0000"])
    def test_refuses_one_that_there_is_not(self, fleet: Fleet, rollout: str) -> None:
        refused = fleet.call("tenants", "rollback", rollout, "--noinput")
        assert refused.returncode == 2
        assert "tenants history" in refused.stderr
