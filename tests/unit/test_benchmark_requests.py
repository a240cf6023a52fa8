"""The page on requests: what it says of the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.requests import report
from benchmarks.requests.results import DOCUMENT, PAGE, Results, Turn


@pytest.fixture
def results() -> Results:
    """Both slow down alike in the second round, as when somebody else uses the machine."""
    found = Results({"Processor": "an abacus, 10 beads"}, {"plain": "one database", "silo, 10": "ten of them"})
    for number, slow in enumerate((1, 5, 1)):
        for endpoint in (PAGE, DOCUMENT):
            found.turns.append(Turn(endpoint, number, "plain", 10, 0.02 * slow, 0.01 * slow))
            found.turns.append(Turn(endpoint, number, "silo, 10", 10, 0.022 * slow, 0.012 * slow))
    return found


class TheRatio:
    def test_is_taken_within_each_round(self, results: Results) -> None:
        assert results.times_of(PAGE, "silo, 10") == pytest.approx(1.1)


class ThePage:
    def test_has_each_contestant_for_each_endpoint(self, results: Results) -> None:
        page = report.page(results)
        assert page.count("| silo, 10 | 455 | 2.20 | 2.20, 11.00 | 1.20 | 1.100 | 1.000 |") == 2
        assert "| Processor | an abacus, 10 beads |" in page


class TheFigures:
    def test_are_the_same_when_read_again(self, results: Results, tmp_path: Path) -> None:
        results.save(tmp_path / "requests.json")
        assert Results.load(tmp_path / "requests.json") == results
