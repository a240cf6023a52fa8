"""Canary and waves: who goes first, and what keeps the rest from being begun."""

from __future__ import annotations

from typing import Any

import pytest

from tenants.models import Tenant
from tenants.rollout.outcome import Outcome
from tenants.rollout.policy import MaxFailures
from tenants.rollout.request import Request
from tenants.rollout.result import Report
from tenants.rollout.runner import run_rollout
from tenants.rollout.target import latest
from tenants.rollout.watcher import Silent
from tenants.rollout.waves import Canary, in_waves, parse_waves
from tests.support.fleet import Fleet, as_owner
from tests.support.migrations import ADD_COLOUR, RAISES_ON_A_BAD_NOTE, NotesMigrations

SLUGS = ["one", "two", "three", "four"]


class Diary(Silent):
    """A watcher that writes down what it hears."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def wave(self, title: str, number: int, of: int, tenants: int) -> None:
        self.entries.append(f"wave {number}/{of} {title}: {tenants}")

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None:
        self.entries.append(tenant.slug if tenant else "template")


def roll_out(diary: Diary, **request: Any) -> Report:
    return run_rollout(Request(latest(), workers=1, **request), watcher=diary)


class Waves:
    def test_are_migrated_one_after_the_other(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make(*SLUGS)
        notes.add("0002_colour", ADD_COLOUR)
        diary = Diary()
        report = roll_out(diary, canary=Canary.parse("three"), waves=parse_waves("50%,100%"))
        assert report.state == "succeeded"
        assert diary.entries == [
            "wave 1/3 canary: 1",
            "three",
            "wave 2/3 50%: 1",
            "four",
            "wave 3/3 100%: 2",
            "one",
            "two",
        ]

    def test_hold_every_tenant_once(self, fleet: Fleet) -> None:
        tenants = fleet.make(*SLUGS)
        for canary in (None, Canary(number=1), Canary(percent=30)):
            for shares in ((), parse_waves("100%"), parse_waves("1%,2%,100%"), parse_waves("33%,66%,100%")):
                waves = in_waves(tenants, canary, shares)
                assert sorted(tenant.slug for wave in waves for tenant in wave.tenants) == sorted(SLUGS)


class ACanary:
    @pytest.fixture
    def failing(self, fleet: Fleet, notes: NotesMigrations) -> str:
        """One of the fleet on which the next migration fails."""
        bad = fleet.make(*SLUGS)[1]
        as_owner(bad, "INSERT INTO notes_note (text) VALUES ('bad')")
        raises = RAISES_ON_A_BAD_NOTE
        notes.add("0002_picky", "migrations.RunPython(forwards)", before=raises)
        return bad.slug

    def test_that_fails_keeps_the_rest_from_being_begun(self, failing: str) -> None:
        report = roll_out(Diary(), canary=Canary.parse(f"one,{failing}"), on_error="continue")
        assert (len(report.failures), report.pending) == (1, 2)

    def test_that_fails_less_than_was_allowed_does_not(self, failing: str) -> None:
        allowed = {"on_error": "continue", "max_failures": MaxFailures(number=1)}
        report = roll_out(Diary(), canary=Canary.parse(f"one,{failing}"), **allowed)
        assert (len(report.failures), report.pending) == (1, 0)

    def test_takes_the_smallest_databases(self, fleet: Fleet) -> None:
        tenants = fleet.make("large", "small")
        as_owner(tenants[0], "INSERT INTO notes_note (text) SELECT repeat('x', 90) FROM generate_series(1, 5000)")
        (canary, _) = in_waves(tenants, Canary(number=1), ())
        assert [tenant.slug for tenant in canary.tenants] == ["small"]
