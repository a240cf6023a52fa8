"""The server process: found within a millisecond where it runs, started once where it does not, stopped for certain."""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_site.embedded import bootstrap, place
from platform_site.embedded.binaries import server_programs
from platform_site.embedded.errors import EmbeddedPostgresError

START_TIMEOUT_S = 60
# After kill -9 of a postmaster its children hold the shared memory until they notice; till then a new one cannot start.
ORPHAN_CHILDREN_TIMEOUT_S = 15
# Asked politely first: SIGINT ends sessions and writes a checkpoint, SIGQUIT skips it, SIGKILL needs no co-operation.
STOP_SIGNALS = ((signal.SIGINT, 30), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))
# A child of the shell, which ends at once, so that no long-lived command of ours has to wait for the server's end.
# pg_ctl would do the same, but looks ten times a second only and gets a folder with quotes in its name wrong.
BACKGROUND = '"$1" -D "$2" >>"$3" 2>&1 </dev/null & echo $!'
PROC = Path("/proc") if Path("/proc/self/cmdline").exists() else None


@dataclass(frozen=True)
class Cluster:
    """A server that accepts connections."""

    data_dir: Path
    socket_dir: Path
    pid: int


def find(data_dir: Path) -> Cluster | None:
    """The running server of `data_dir`, or None. Starts no process and changes nothing."""
    data_dir = data_dir.resolve()
    home = place.home(data_dir)
    pid, status = _pid_file(home)
    if status != "ready" or not (home / bootstrap.READY_MARK).exists():
        return None
    if not _is_postmaster(pid) or not _serves(pid, home.resolve()):
        return None
    sockets = place.socket_dir(data_dir)
    # Who listens is asked of the kernel: the number in the file may by now belong to another server.
    return Cluster(data_dir, sockets, pid) if _listener(sockets) in (pid, None) else None


def ensure_running(data_dir: Path, *, durable: bool = True) -> Cluster:
    """Find the server of `data_dir`, or start it; concurrent callers start one. It survives the caller.

    `durable=False` is for tests: after a crash of the machine the cluster may be lost. Raises EmbeddedPostgresError.
    """
    data_dir = data_dir.resolve()
    try:
        if cluster := find(data_dir):
            return cluster
        data_dir.mkdir(parents=True, exist_ok=True)
        with _lock(data_dir):
            return find(data_dir) or _start(data_dir, durable)
    except PermissionError as error:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL in {data_dir} belongs to another user ({error}). "
            f"Run as that user, or set another SILO_DATA_DIR."
        ) from error


def stop(data_dir: Path) -> bool:
    """End every server of `data_dir`, also one whose files were deleted. True if there was one."""
    data_dir = data_dir.resolve()
    with _lock(data_dir) if data_dir.is_dir() else nullcontext():
        return _end_servers(data_dir)


def remove(data_dir: Path) -> None:
    """Stop the server and delete the cluster with all its databases."""
    data_dir = data_dir.resolve()
    stop(data_dir)
    place.forget(data_dir)


def prune() -> list[Path]:
    """Delete the clusters that root made and that nobody can use any more, and give their homes."""
    gone = place.abandoned_homes()
    for home in gone:
        _end(_postmasters(home))
        shutil.rmtree(home)
    return gone


def log_file(data_dir: Path) -> Path:
    return place.home(data_dir) / "data" / "server.log"


def _start(data_dir: Path, durable: bool) -> Cluster:
    """Under the lock, with no server that can be reached: make what is missing, start, and finish the first steps."""
    _end_servers(data_dir)
    home = place.claim_home(data_dir)
    account = place.account(data_dir)
    programs = server_programs()
    if not (home / "data").exists():
        _initialise(home, account, programs, durable)
    sockets = place.claim_socket_dir(data_dir, account)
    _write(home / "postgresql.conf", bootstrap.configuration(home, sockets, durable=durable))
    _write(home / "pg_hba.conf", bootstrap.PG_HBA)
    _launch(home, account, programs)
    if not (home / bootstrap.READY_MARK).exists():
        server = f"host='{sockets}' port={place.PORT} user=postgres dbname=postgres"
        _run(account, programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", server, text=bootstrap.FIRST_STEPS)
        _write(home / bootstrap.READY_MARK, "")
    cluster = find(data_dir)
    if cluster is None:
        raise EmbeddedPostgresError(f"The embedded PostgreSQL started and is gone again; see {log_file(data_dir)}.")
    return cluster


def _initialise(home: Path, account: place.Account | None, programs: Path, durable: bool) -> None:
    """initdb beside the final place, then one rename: a start that was killed leaves nothing that looks finished."""
    for left in home.glob("data.unfinished-*"):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own: the initdb of a start that was killed may still be writing.
    unfinished = Path(tempfile.mkdtemp(prefix="data.unfinished-", dir=home))
    if account:
        os.chown(unfinished, account.uid, account.gid)
    # The built-in locale gives the same order of text on every machine.
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
    options = ["--username=postgres", "--auth=reject", "--no-instructions", *([] if durable else ["--no-sync"])]
    _run(account, programs / "initdb", "-D", unfinished, *options, *locale)
    unfinished.rename(home / "data")


def _launch(home: Path, account: place.Account | None, programs: Path) -> None:
    log, pid_file = home / "data" / "server.log", home / "data" / "postmaster.pid"
    # No server of this home runs now, so the file is stale; by now its number may be that of any other process.
    crashed = pid_file.exists()
    pid_file.unlink(missing_ok=True)
    patience_ends = time.monotonic() + (ORPHAN_CHILDREN_TIMEOUT_S if crashed else 0)
    while not _comes_up(int(_run(account, "/bin/sh", "-c", BACKGROUND, "sh", programs / "postgres", home, log)), home):
        if time.monotonic() > patience_ends:
            raise EmbeddedPostgresError(f"The embedded PostgreSQL does not start. {log} ends with:\n{_tail(log)}")
        time.sleep(0.25)


def _comes_up(pid: int, home: Path) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while _pid_file(home) != (pid, "ready"):
        if not _lives(pid) or time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _run(account: place.Account | None, *command: str | Path, text: str = "") -> str:
    """Run as the server's user, in a session of its own: the terminal's Ctrl-C does not reach the server."""
    as_user: dict[str, Any] = {}
    if account:
        as_user = {"user": account.uid, "group": account.gid, "extra_groups": []}
    environment = {"PATH": os.defpath, "LC_ALL": "C"}  # nothing of the caller's: PGDATA or PGOPTIONS would interfere
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            cwd="/",
            env=environment,
            start_new_session=True,
            check=False,
            **as_user,
        )
    except OSError as error:
        who = account.name if account else "this user"
        raise EmbeddedPostgresError(f"{command[0]} could not be run as {who}: {error}.") from error
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _end_servers(data_dir: Path) -> bool:
    return _end([pid for home in place.homes_of(data_dir) for pid in _postmasters(home)])


def _end(pids: list[int]) -> bool:
    for pid in pids:
        for number, timeout_s in STOP_SIGNALS:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            if _wait_until_gone(pid, timeout_s):
                break
    return bool(pids)


def _postmasters(home: Path) -> list[int]:
    """The servers of this home, also one whose every file was deleted, or whose home was moved under it."""
    if not PROC:
        pid, _ = _pid_file(home)
        return [pid] if pid and _is_postmaster(pid) else []
    pids = (int(entry.name) for entry in PROC.glob("[0-9]*"))
    return [pid for pid in pids if _is_postmaster(pid) and (_serves(pid, home) or _works_in(pid, home / "data"))]


def _is_postmaster(pid: int) -> bool:
    """Whether that process lives and is a postmaster; its children call themselves `postgres: ...`."""
    return os.path.basename(next(iter(_words(pid)), b"")) == b"postgres"


def _serves(pid: int, home: Path) -> bool:
    """Whether it was started for this very path. One whose home was moved under it fails at its next checkpoint."""
    return not PROC or _words(pid)[1:3] == [b"-D", os.fsencode(home)]


def _lives(pid: int) -> bool:
    """Asked of its state and not of its words: between fork and exec a process has none for a moment."""
    if not PROC:
        return bool(_words(pid))
    try:
        state = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def _words(pid: int) -> list[bytes]:
    """The words of that process's command line; none if it does not live. A zombie has none."""
    if not PROC:
        return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False).stdout.split()
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    except OSError:
        return False


def _wait_until_gone(pid: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while _is_postmaster(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _pid_file(home: Path) -> tuple[int, str]:
    """The postmaster's pid and status as it wrote them, (0, "") where there is none."""
    try:
        lines = (home / "data" / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip()
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return 0, ""


def _listener(sockets: Path) -> int | None:
    """The pid of the process that listens on the socket, 0 if none does, None where the kernel does not tell."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(sockets / f".s.PGSQL.{place.PORT}"))
        except (FileNotFoundError, ConnectionRefusedError):
            return 0
        if not hasattr(socket, "SO_PEERCRED"):
            return None
        pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return int(pid)


@contextmanager
def _lock(data_dir: Path) -> Iterator[None]:
    path = data_dir / "postgres.lock"
    while True:
        # Not inheritable (PEP 446), so a server that outlives us does not hold it.
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                yield
                return
            # The folder was deleted and made again while we waited: that lock guards nothing any more.
        finally:
            os.close(handle)


def _write(path: Path, text: str) -> None:
    """One rename: a half-written file is never read, and a link planted under this name is not followed."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with open(unfinished, "x") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    unfinished.rename(path)


def _tail(log: Path) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    except OSError:
        return ""
