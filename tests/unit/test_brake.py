"""When a rollout has seen enough failures: case 15 of the design's list."""

from __future__ import annotations

from tenants.rollout.policy import Brake, MaxFailures

BROKEN, SLOW = ("DataError", "notes.0002"), ("QueryCanceled", "notes.0002")
FINE = None


def tried_until_it_stopped(brake: Brake, outcomes: list[tuple[str, str] | None]) -> int | None:
    """After how many tenants it said to stop; None where it never did."""
    return next((number for number, outcome in enumerate(outcomes, start=1) if brake.must_stop(outcome)), None)


class Stopping:
    def test_is_at_the_first_failure(self) -> None:
        brake = Brake(100, on_error="stop", max_failures=None)
        assert tried_until_it_stopped(brake, [FINE, FINE, BROKEN, FINE]) == 3


class Continuing:
    def test_ends_with_three_equal_errors_in_a_row(self) -> None:
        brake = Brake(100, on_error="continue", max_failures=None)
        assert tried_until_it_stopped(brake, [BROKEN, BROKEN, SLOW, BROKEN, BROKEN, BROKEN, FINE]) == 6

    def test_does_not_end_where_others_succeed_in_between(self) -> None:
        brake = Brake(100, on_error="continue", max_failures=None)
        assert tried_until_it_stopped(brake, [BROKEN, BROKEN, FINE] * 10) is None

    def test_ends_at_over_two_percent_once_fifty_were_tried(self) -> None:
        brake = Brake(100, on_error="continue", max_failures=None)
        assert tried_until_it_stopped(brake, [BROKEN, FINE, BROKEN, *[FINE] * 46, BROKEN, FINE]) == 50


class AMaximum:
    def test_ends_it_when_more_have_failed(self) -> None:
        brake = Brake(100, on_error="stop", max_failures=MaxFailures(number=3))
        assert tried_until_it_stopped(brake, [BROKEN] * 5) == 4

    def test_may_be_a_share_of_all(self) -> None:
        brake = Brake(100, on_error="continue", max_failures=MaxFailures(percent=2))
        assert tried_until_it_stopped(brake, [BROKEN] * 5) == 3

    def test_of_all_lets_it_go_on_whatever_happens(self) -> None:
        brake = Brake(5, on_error="continue", max_failures=MaxFailures(percent=100))
        assert tried_until_it_stopped(brake, [BROKEN] * 5) is None
