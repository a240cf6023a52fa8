"""Measuring one process: its own memory, its own byte code, and nothing left of it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.measure import CommandFailedError, environment, run
from tenants.databases.sessions import poll

# Starts a child, notes its pid in one step, and both go on for longer than any test.
WITH_A_CHILD = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".unfinished", "w") as note:
    note.write(str(child.pid))
os.rename(note.name, sys.argv[1])
time.sleep(600)
"""
MEASURE = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background has it ignored
import benchmarks.measure as m
m.run(sys.argv[2:], '', pathlib.Path(sys.argv[1]))
"""
PATIENCE = timedelta(seconds=30)


class PeakMemory:
    def test_is_the_commands_own_and_not_that_of_who_measures(self, tmp_path: Path) -> None:
        ours_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        taken = run([sys.executable, "-c", "pass"], "", tmp_path)

        assert taken.peak_mib < 25 < ours_mib


class ByteCode:
    def test_is_written_below_the_given_folder_whatever_the_caller_has_set(self, tmp_path: Path) -> None:
        (tmp_path / "module.py").write_text("")
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import module"

        run([sys.executable, "-c", code], "", tmp_path / "byte-code")

        assert list((tmp_path / "byte-code").rglob("module.*.pyc"))

    def test_is_asked_for_in_the_environment(self) -> None:
        made = environment({"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home/alice"}, "settings", Path("/byte-code"))

        assert made == {
            "HOME": "/home/alice",
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPYCACHEPREFIX": "/byte-code",
        }


class Failing:
    def test_raises_with_what_the_command_said(self, tmp_path: Path) -> None:
        with pytest.raises(CommandFailedError, match="the disk is full"):
            run([sys.executable, "-c", "import sys; sys.exit('the disk is full')"], "", tmp_path)


class Interrupted:
    def test_ends_the_command_with_all_that_it_started(self, tmp_path: Path) -> None:
        note = tmp_path / "child"
        command = [sys.executable, "-c", WITH_A_CHILD, str(note)]
        measuring = subprocess.Popen([sys.executable, "-c", MEASURE, str(tmp_path), *command], stderr=subprocess.PIPE)
        assert poll(note.exists, PATIENCE)

        measuring.send_signal(signal.SIGINT)

        _, printed = measuring.communicate(timeout=PATIENCE.total_seconds())
        assert b"KeyboardInterrupt" in printed
        child = int(note.read_text())
        assert poll(lambda: not lives(child), PATIENCE)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True).stdout[:1] != b"Z"
