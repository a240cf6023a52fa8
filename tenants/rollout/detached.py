"""A rollout started by somebody who does not wait for it: the API, the admin. It runs in a process of its own.

That process is ``manage.py migrate_tenants``, in a session of its own, so it goes on when the request has been answered
and when the process that answered it ends. What it prints goes to ``SILO_DATA_DIR/rollouts/<host>-<pid>.log``; how it
goes stands in the ledger.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from django.conf import settings

from tenants.databases.sessions import poll
from tenants.errors import RolloutActiveError, RolloutRefusedError, UnknownRolloutError
from tenants.models import Rollout
from tenants.rollout import process

BEGINS_WITHIN = timedelta(seconds=30)
KEPT_LOGS = 50


def start(arguments: Sequence[str], *, by: str) -> Rollout:
    """Start ``migrate_tenants`` with these arguments, for the user of this email, and give its rollout.

    Returns once the ledger has it, after about a second. Raises ``RolloutRefusedError`` with the command's own words
    where it refuses (``RolloutActiveError`` where another is active), and where it has not begun within
    ``BEGINS_WITHIN``; it is ended then.
    """
    folder = _folder()
    command = [sys.executable, str(process.PROJECT / "manage.py"), "migrate_tenants", *arguments]
    with NamedTemporaryFile("w+", dir=folder, prefix="starting-", delete=False) as log:
        child = _spawn([*command, "--started-by", by, "--noinput"], log)
        Path(log.name).replace(folder / f"{process.title(child.pid).replace(process.PROCESS, '-')}.log")
        # Whoever started a process has to take notice of its end, or a zombie stays that looks like a live rollout.
        threading.Thread(target=child.wait, name="silo-detached", daemon=True).start()
        namesakes = Rollout.objects.filter(process=process.title(child.pid))
        # Numbers of processes come again; this one needs longer to write its row than we to read the others.
        begun = namesakes.exclude(pk__in=list(namesakes.values_list("pk", flat=True)))
        poll(lambda: begun.exists() or child.poll() is not None, BEGINS_WITHIN)
        if rollout := begun.select_related("started_by").first():
            return rollout
        child.terminate()
        log.seek(0)
        raise _refusal(log.read())


def _spawn(command: Sequence[str], log: IO[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            cwd=process.PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        Path(log.name).unlink()
        if error.errno == errno.E2BIG:
            raise RolloutRefusedError("it is asked for at greater length than a command line holds") from error
        raise


def _folder() -> Path:
    """Where the logs lie, the newest ``KEPT_LOGS`` of them."""
    folder = Path(settings.SILO_DATA_DIR) / "rollouts"
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in sorted(folder.glob("*.log"), key=os.path.getmtime)[:-KEPT_LOGS]:
        old.unlink(missing_ok=True)
    return folder


def _refusal(printed: str) -> RolloutRefusedError:
    """What a command that refused printed as its reason, as the error that it was there."""
    said = printed.rpartition("CommandError: ")[2].strip()
    for kind in (RolloutActiveError, UnknownRolloutError, RolloutRefusedError):
        headline = f"{str(kind()).rstrip('.')}: "
        if said.startswith(headline):
            return kind(said.removeprefix(headline))
    return RolloutRefusedError(said or f"it did not begin within {BEGINS_WITHIN.seconds} s")
