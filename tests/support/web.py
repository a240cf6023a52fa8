"""Silo as it is served in production: gunicorn, in processes of its own, and what its worker takes of memory."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.fleet import Fleet
from tests.support.waiting import wait_until


@dataclass
class Server:
    """One gunicorn, with one worker of several threads."""

    process: subprocess.Popen[str]
    port: int
    token: str

    @property
    def worker(self) -> int:
        """The worker's process id; gunicorn starts another where it was killed."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def resident_kb(self, figure: str) -> int:
        """``VmRSS``, what the worker has in memory now, or ``VmHWM``, the most it had since ``forget_peak``."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        return int(re.search(rf"^{figure}:\s+(\d+) kB", status, re.MULTILINE)[1])  # type: ignore[index]

    def forget_peak(self) -> None:
        Path(f"/proc/{self.worker}/clear_refs").write_text("5")

    def request(
        self, method: str, path: str, body: Iterable[bytes] | bytes | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        """The response, of which nothing is read yet. A header's ``_`` is a hyphen."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        # A server that refuses need not read the body to its end before it says why.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, {"Authorization": f"Token {self.token}", **named})
        return connection.getresponse()


@contextmanager
def served(fleet: Fleet, token: str, log: Path, *, threads: int = 8, **environment: str) -> Iterator[Server]:
    """A server of the test's databases; it has ended on leaving."""
    bind = ("--bind", "127.0.0.1:0", "--worker-class", "gthread", "--threads", str(threads))
    # What it prints goes to the log as well: nobody reads its pipes, and it would wait for ever when they are full.
    logs = ("--error-logfile", str(log), "--capture-output")
    process = fleet.start("-m", "gunicorn", "platform_site.wsgi", *bind, *logs, **environment)
    try:
        wait_until(lambda: process.poll() is not None or "Booting worker" in (log.read_text() if log.exists() else ""))
        port = re.search(r"Listening at: http://127.0.0.1:(\d+)", log.read_text())
        assert port, log.read_text()
        yield Server(process, int(port[1]), token)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)
