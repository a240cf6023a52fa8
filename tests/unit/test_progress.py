"""What a rollout says while it runs: stable lines for logs, and a live view on a terminal."""

from __future__ import annotations

import io

import pytest

from tenants.models import Tenant
from tenants.models.rollout import AttemptState, Wish
from tenants.rollout.live import LiveProgress
from tenants.rollout.outcome import Failure, Outcome
from tenants.rollout.progress import SHOWN_AT_ONCE, LineProgress, Progress, progress

MIGRATED = Outcome(AttemptState.MIGRATED)


def failed(message: str) -> Outcome:
    failure = Failure("notes.0002_colour", "42701", "ProgrammingError", message, traceback="")
    return Outcome(AttemptState.FAILED, failure=failure)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watch(watcher: Progress, outcome: Outcome, times: int = 1) -> None:
    with watcher:
        watcher.begun("1a2b3c4d-0000", "latest", 3000)
        watcher.wave("25%", 1, 2, 750)
        for _ in range(times):
            watcher.done(Tenant(slug="acme"), outcome)
        watcher.wished(Wish.PAUSE, "erin")


class WithoutATerminal:
    def test_it_says_little_and_in_whole_lines(self) -> None:
        stream = io.StringIO()
        watch(progress(stream), MIGRATED, times=750)
        assert stream.getvalue().splitlines() == [
            "rollout 1a2b3c4d-0000 to latest: 3,000 tenants",
            "wave 1 of 2 (25%): 750 tenants",
            "paused by erin; `manage.py tenants rollout continue` goes on with it",
        ]

    def test_a_failure_is_one_line(self) -> None:
        stream = io.StringIO()
        watch(progress(stream), failed("it exists\nIts schema is not\nwhat it should be"))
        assert "acme failed in notes.0002_colour: ProgrammingError: it exists" in stream.getvalue().splitlines()

    def test_thousands_of_failures_are_not_thousands_of_lines(self) -> None:
        stream = io.StringIO()
        watch(progress(stream), failed("it exists"), times=3000)
        assert stream.getvalue().count("failed in") == SHOWN_AT_ONCE

    def test_it_says_how_far_it_is_now_and_then(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: now)
        stream = io.StringIO()
        watcher = LineProgress(stream)
        watcher.begun("x", "latest", 100)
        for _ in range(20):
            now += 0.3
            watcher.done(Tenant(slug="acme"), MIGRATED)
        assert stream.getvalue().splitlines()[1:] == ["17 of 100 tenants, 3 a second, about 25 s left"]


class OnATerminal:
    def test_it_shows_waves_failures_and_who_paused_it(self) -> None:
        stream = Terminal()
        watcher = progress(stream)
        assert isinstance(watcher, LiveProgress)
        watch(watcher, failed("it exists"), times=2)
        shown = stream.getvalue()
        for words in ("rollout 1a2b3c4d to latest", "wave 1 of 2 (25%)", "2/750", "2/3000", "2 failures"):
            assert words in shown
        assert "paused by erin" in shown
        assert shown.count("acme failed in notes.0002_colour") == 2
