"""Where a cluster lives on disk, where its socket is, and as whom its server runs.

    SILO_DATA_DIR/postgres            its home: `data` (PGDATA), `socket`, the configuration and the ready mark
    SILO_DATA_DIR/postgres.lock       held by whoever starts or stops the server

PostgreSQL refuses to run as root. For a root user `postgres` is a link to a folder of ours under ROOT_BASE, because the
server's user cannot enter a private home such as /root, and no permission of a folder that is not ours is ever changed.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platform_site.embedded.errors import EmbeddedPostgresError

PORT = "5432"
SYSTEM_USER = "silo-postgres"
ROOT_BASE = Path("/var/lib/silo-postgres")
PROJECT = Path(__file__).resolve().parents[2]

# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, the final NUL included.
LONGEST_SOCKET_PATH = 103


TESTS = "test"


@dataclass(frozen=True)
class Account:
    """Another system user, whom the server runs as."""

    name: str
    uid: int
    gid: int


def data_dir_from_environment() -> Path:
    """SILO_DATA_DIR, default `var` in the project. A relative path is one in the project, wherever a command runs."""
    return (PROJECT / (os.environ.get("SILO_DATA_DIR") or "var")).resolve()


def data_dir_of_tests(run: str) -> Path:
    """Each run of the tests has a cluster of its own, so that two at once do not end each other's."""
    return data_dir_from_environment() / TESTS / run


def data_dirs_of_tests() -> list[Path]:
    """Those of the runs that are going on, or were cut off."""
    return sorted(path for path in (data_dir_from_environment() / TESTS).glob("*") if path.is_dir())


def home(data_dir: Path) -> Path:
    return data_dir / "postgres"


def socket_dir(data_dir: Path) -> Path:
    """The folder of the server's socket, known before anything exists; a short one where the natural one is too long.

    It is private (0700), which is what lets pg_hba.conf trust the platform's roles.
    """
    data_dir = data_dir.resolve()
    natural = home(data_dir) / "socket"
    # libpq and PostgreSQL read a list of hosts or folders where there is a comma.
    if len(os.fsencode(natural / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH and not set(str(natural)) & set(",\"'\\"):
        return natural
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    if _kept_by_root(data_dir):
        return ROOT_BASE / "sockets" / digest
    uid = _owner(home(data_dir))
    # A name that can be guessed, so its owner and mode are looked at before anyone connects.
    short = Path(f"/tmp/silo-{uid}-{digest}")
    _refuse_foreign(short, uid)
    return short


def account(data_dir: Path) -> Account | None:
    """As whom root runs the server: an unprivileged system user made for it; None is whoever calls, if not root.

    A cluster that an ordinary user made goes on running as that user when root starts it.
    """
    if os.geteuid() != 0:
        return None
    owner = _owner(home(data_dir))
    entry = _system_user() if owner == 0 else pwd.getpwuid(owner)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def claim_home(data_dir: Path) -> Path:
    """Make the home where it is missing, and return its real path. Called under the lock."""
    place = home(data_dir)
    if os.geteuid() != 0:
        own_folder(place, mode=0o700)
        return place
    if place.is_dir() and not place.is_symlink():
        return place
    if place.is_dir():
        _adopt(data_dir)
        return place.resolve()
    own_folder(ROOT_BASE)
    own_folder(ROOT_BASE / "clusters")
    target = ROOT_BASE / "clusters" / secrets.token_hex(6)
    own_folder(target)
    (target / "owner").write_text(str(data_dir))
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    return target


def claim_socket_dir(data_dir: Path, owner: Account | None) -> Path:
    """Make the socket's folder, private to the server's user, and return the path that the server is told."""
    folder = socket_dir(data_dir)
    if folder.parent == ROOT_BASE / "sockets":
        own_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner and os.lstat(folder).st_uid == 0:
        os.chown(folder, owner.uid, owner.gid, follow_symlinks=False)
    _refuse_foreign(folder, owner.uid if owner else os.geteuid())
    return folder if folder.parent != home(data_dir) else folder.resolve()


def homes_of(data_dir: Path) -> list[Path]:
    """Every home that was ever started for this path; more than one if a root user deleted SILO_DATA_DIR by hand."""
    kept_by_root = [cluster for cluster, owner in _clusters_of_root() if owner == data_dir]
    return list(dict.fromkeys([home(data_dir).resolve(), *kept_by_root]))


def abandoned_homes() -> list[Path]:
    """Clusters of root that no link leads to: SILO_DATA_DIR was deleted, or was moved and has not been used since."""
    return [cluster for cluster, owner in _clusters_of_root() if home(owner).resolve() != cluster]


def forget(data_dir: Path) -> None:
    """Delete the cluster's files. Its server must have been stopped."""
    for folder in homes_of(data_dir):
        shutil.rmtree(folder, ignore_errors=True)
    if socket_dir(data_dir).parent != home(data_dir):
        shutil.rmtree(socket_dir(data_dir), ignore_errors=True)
    if home(data_dir).is_symlink():
        home(data_dir).unlink()


def own_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Make a folder of ours with exactly this mode, whatever the umask; one that is there must be ours."""
    try:
        folder.mkdir(mode)
        folder.chmod(mode)
    except FileExistsError:
        _refuse_foreign(folder, None)
    except OSError as error:
        raise EmbeddedPostgresError(f"The embedded PostgreSQL needs the folder {folder}: {error.strerror}.") from error


def _clusters_of_root() -> list[tuple[Path, Path]]:
    """Each cluster with the SILO_DATA_DIR it was made for."""
    found = []
    for mark in ROOT_BASE.glob("clusters/*/owner") if os.geteuid() == 0 else ():
        with suppress(FileNotFoundError):  # another command deletes its cluster at this moment
            found.append((mark.parent, Path(mark.read_text())))
    return found


def _kept_by_root(data_dir: Path) -> bool:
    place = home(data_dir)
    return place.is_symlink() or (os.geteuid() == 0 and not place.exists())


def _owner(folder: Path) -> int:
    try:
        return folder.stat().st_uid
    except FileNotFoundError:
        return os.geteuid()


def _refuse_foreign(folder: Path, uid: int | None) -> None:
    """A folder that someone else made, could enter or could rename under us is no place for a server that trusts."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return
    owners = {os.geteuid(), 0} if uid is None else {uid}
    open_to_others = 0o022 if uid is None else 0o077
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & open_to_others:
        raise EmbeddedPostgresError(
            f"{folder} is not a private folder of the user it should belong to. "
            f"Remove it, or set another SILO_DATA_DIR."
        )


def _adopt(data_dir: Path) -> None:
    """The link came here with a folder that was moved, which is fine, or copied, which would share one cluster."""
    mark = home(data_dir) / "owner"
    before = Path(mark.read_text())
    if before == data_dir:
        return
    if home(before).is_symlink() and home(before).samefile(home(data_dir)):
        raise EmbeddedPostgresError(
            f"{home(data_dir)} is a copy of a link: its cluster belongs to {before}. "
            f"Remove it to start with an empty cluster."
        )
    mark.write_text(str(data_dir))


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
    try:
        made = subprocess.run([*command, SYSTEM_USER], capture_output=True, text=True, check=False)
        reason = made.stderr.strip()
    except OSError as error:
        reason = str(error)
    try:
        # Another command may have made it first: then useradd fails and the user is there.
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be made ({reason}). "
            f"Make it by hand, work as an ordinary user, or set DATABASE_URL."
        ) from None
