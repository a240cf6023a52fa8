"""A real PgBouncer, started with the files that Silo prints for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2

from platform_site.embedded import place
from tests.support.servers import HOST, ExtraServer
from tests.support.waiting import wait_until

PROGRAM = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def version() -> tuple[int, int]:
    """Of the program that is installed."""
    assert PROGRAM is not None
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


@contextmanager
def pgbouncer(behind: ExtraServer, files: dict[str, str], port: int) -> Iterator[Path]:
    """Run it on ``port`` with ``pgbouncer.ini`` and the other files, as the server's own user; gives its log."""
    home, account = place.home(behind.data_dir).resolve(), place.account(behind.data_dir)
    for name, text in files.items():
        (home / name).write_text(text)
    log = home / "pgbouncer.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(PROGRAM), "pgbouncer.ini"],
            stdout=output,
            stderr=output,
            cwd=home,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    try:
        wait_until(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    """Whether it answers, be it that it knows no such user."""
    try:
        with closing(psycopg2.connect(host=HOST, port=port, user="nobody", dbname="nothing")):
            return True
    except psycopg2.OperationalError as refusal:
        return "refused" not in str(refusal)
