"""A server's budget: arithmetic, with the time as a number."""

from __future__ import annotations

import pytest

from tenants.rollout.budget import PATIENCE, Budget
from tenants.rollout.policy import Verdict

DONE = Verdict.FINAL


def begin(budget: Budget, tries: int, *, now: float = 0.0) -> int:
    """Begin so many, as far as the budget has them; gives how many that were."""
    begun = 0
    while begun < tries and budget.may_begin(now):
        budget.begin()
        begun += 1
    return begun


class ABudget:
    def test_lets_every_worker_in_at_first(self) -> None:
        assert begin(Budget(8), 10) == 8

    @pytest.mark.parametrize("verdict", [Verdict.CROWDED, Verdict.SQUEEZED])
    def test_halves_when_the_server_has_too_many_sessions(self, verdict: Verdict) -> None:
        budget = Budget(8)
        begin(budget, 8)
        budget.end(verdict, begun_at=0, now=1)
        assert budget.limit == 4

    def test_halves_once_for_those_that_were_refused_in_one_moment(self) -> None:
        budget = Budget(8)
        begin(budget, 8)
        for _ in range(4):
            budget.end(Verdict.CROWDED, begun_at=0, now=1)
        assert budget.limit == 4

    def test_recovers_by_one_when_as_many_as_it_lets_in_have_ended_well(self) -> None:
        budget = Budget(8)
        begin(budget, 8)
        budget.end(Verdict.CROWDED, begun_at=0, now=1)
        for _ in range(5):
            budget.end(DONE, begun_at=0, now=2)
        assert int(budget.limit) == 5

    def test_never_falls_below_one(self) -> None:
        budget = Budget(2)
        for now in range(5):
            begin(budget, 2, now=now)
            budget.end(Verdict.CROWDED, begun_at=now, now=now + 0.5)
            budget.end(DONE, begun_at=now, now=now + 0.6)
        assert budget.limit >= 1


class AnOutageDuringALongMigration:
    @pytest.fixture
    def out(self) -> Budget:
        """Of two tries one goes on, and the other got no session at second 1."""
        budget = Budget(4)
        begin(budget, 2)
        budget.end(Verdict.DOWN, begun_at=0, now=1)
        return budget

    def test_is_looked_at_again_by_one_without_waiting_for_that(self, out: Budget) -> None:
        assert begin(out, 4, now=3) == 1
        out.end(DONE, begun_at=3, now=4)
        assert begin(out, 4, now=4) == 3

    @pytest.mark.parametrize("verdict", [Verdict.DOWN, Verdict.CROWDED])
    def test_goes_on_while_none_gets_a_session(self, out: Budget, verdict: Verdict) -> None:
        begin(out, 1, now=3)
        out.end(verdict, begun_at=3, now=4)
        assert (begin(out, 4, now=4), begin(out, 4, now=9)) == (0, 1)
        out.end(verdict, begun_at=9, now=1 + PATIENCE.total_seconds())
        assert out.is_closed


class AnOutage:
    @pytest.fixture
    def out(self) -> Budget:
        """A server of which nobody answered at second 1."""
        budget = Budget(8)
        begin(budget, 1)
        budget.end(Verdict.DOWN, begun_at=0, now=1)
        return budget

    def test_is_looked_at_by_one_at_a_time_after_a_pause(self, out: Budget) -> None:
        assert begin(out, 8, now=1.1) == 0
        assert begin(out, 8, now=3) == 1

    def test_ends_with_the_first_session(self, out: Budget) -> None:
        begin(out, 1, now=3)
        out.end(DONE, begun_at=3, now=4)
        assert begin(out, 8, now=4) == 8

    def test_is_not_ended_by_a_session_from_before(self) -> None:
        out = Budget(8)
        begin(out, 2)
        out.end(Verdict.DOWN, begun_at=0, now=1)
        out.end(DONE, begun_at=0.5, now=4)
        assert begin(out, 8, now=4) == 1

    def test_closes_the_server_when_patience_is_over(self, out: Budget) -> None:
        out.begin()
        out.end(Verdict.DOWN, begun_at=2, now=PATIENCE.total_seconds())
        assert not out.is_closed
        out.begin()
        out.end(Verdict.DOWN, begun_at=3, now=PATIENCE.total_seconds() + 2)
        assert out.is_closed

    def test_begins_where_the_server_has_not_one_session_for_us(self) -> None:
        budget = Budget(8)
        begin(budget, 1)
        budget.end(Verdict.CROWDED, begun_at=0, now=1)
        assert begin(budget, 8, now=1.1) == 0

    def test_does_not_begin_where_one_database_is_full(self) -> None:
        budget = Budget(8)
        begin(budget, 1)
        budget.end(Verdict.SQUEEZED, begun_at=0, now=1)
        assert begin(budget, 8, now=1.1) == 8


class AFullDisk:
    def test_closes_the_server_at_once(self) -> None:
        budget = Budget(8)
        begin(budget, 1)
        budget.end(Verdict.DISK_FULL, begun_at=0, now=1)
        assert budget.is_closed
