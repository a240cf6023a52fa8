"""One process from its start to its end: how long it took, and how much memory it had at most."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
STOPWATCH = Path(__file__).with_name("stopwatch.py")

NOT_INHERITED = ("DATABASE_URL", "DEBUG", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "TENANT_APPS")
"""What would have the contestants do something else, or start slower than where Silo is installed."""


class CommandFailedError(Exception):
    """A command of the benchmark failed."""


@dataclass(frozen=True)
class Taken:
    """``peak_mib`` is that of the largest process, where there are several."""

    seconds: float
    peak_mib: float


def run(command: Sequence[str], settings: str, byte_code: Path) -> Taken:
    """Run a command in the project's folder, with these settings of Django.

    Byte code is written below and read from ``byte_code``, so the second run starts as fast as what is installed.
    Raises ``CommandFailedError`` with the end of what it printed. If we are interrupted, it is killed with all that it
    started.
    """
    stopwatch = subprocess.Popen(
        [sys.executable, "-I", "-S", str(STOPWATCH), *command],
        cwd=PROJECT,
        env=environment(os.environ, settings, byte_code),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group that can be killed as one; and a Ctrl-C is ours alone to answer
    )
    try:
        measured, printed = stopwatch.communicate()
    except BaseException:
        os.killpg(stopwatch.pid, signal.SIGKILL)
        stopwatch.wait()
        raise
    seconds, peak_mib, code = (float(word) for word in measured.split()) if measured else (0.0, 0.0, -1.0)
    if code:
        raise CommandFailedError(f"{' '.join(command)} failed ({code:.0f}):\n{printed[-4000:]}")
    return Taken(seconds, peak_mib)


def environment(inherited: Mapping[str, str], settings: str, byte_code: Path) -> dict[str, str]:
    kept = {name: value for name, value in inherited.items() if name not in NOT_INHERITED}
    return kept | {"DJANGO_SETTINGS_MODULE": settings, "PYTHONPYCACHEPREFIX": str(byte_code)}
