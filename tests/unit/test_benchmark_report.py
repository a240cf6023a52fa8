"""The benchmark's page: what it says of the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.results import EMPTY_FLEET, NOTHING_TO_DO, ROLLOUT, Results, Run


@pytest.fixture
def results() -> Results:
    found = Results({"Processor": "an abacus, 10 beads"})
    for contestant, seconds in (("silo", (1.5, 1.0, 9.0)), ("floor", (1.0, 1.0, 1.0)), ("loop", (15.0,))):
        for taken in seconds:
            found.runs += [
                Run(EMPTY_FLEET, 0, contestant, taken / 10, 40.0),
                Run(ROLLOUT, 50, contestant, taken, 50.0 + taken),
                Run(NOTHING_TO_DO, 50, contestant, taken / 2, 45.0),
            ]
    return found


class TheTimes:
    def test_are_medians_with_their_spread_and_stand_beside_the_floor_and_silo(self, results: Results) -> None:
        assert report.times(results, ROLLOUT, 50).splitlines()[2:] == [
            "| silo | 1.50 | 1.00, 9.00 | 3 | 30.0 | 1.50 | 1.00 |",
            "| floor | 1.00 | 1.00, 1.00 | 3 | 20.0 | 1.00 | 0.67 |",
            "| loop | 15.00 | 15.00, 15.00 | 1 | 300.0 | 15.00 | 10.00 |",
        ]


class TheMemory:
    def test_is_the_highest_of_all_runs(self, results: Results) -> None:
        assert report.memory(results).splitlines()[2] == "| silo | 40 | 59 |"


class ThePage:
    def test_has_both_phases_of_each_size_the_start_and_the_machine(self, results: Results) -> None:
        page = report.page(results)

        for part in (
            "| Processor | an abacus, 10 beads |",
            "## A migration of five operations, 50 tenants",
            "## Nothing to do, 50 tenants",
            "## Peak memory",
            "| silo | 0.15 | 0.10, 0.90 | 3 |",
        ):
            assert part in page


class TheFigures:
    def test_are_the_same_when_read_again(self, results: Results, tmp_path: Path) -> None:
        results.save(tmp_path / "docs" / "rollout.json")

        assert Results.load(tmp_path / "docs" / "rollout.json") == results
