"""What the ledger says of the process that runs a rollout: where, as whom, and which code."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

from django.conf import settings

PROCESS = " process "
PROJECT = Path(__file__).resolve().parents[2]


def title(pid: int | None = None) -> str:
    """Host and process; this one where none is named."""
    return f"{socket.gethostname()}{PROCESS}{pid or os.getpid()}"


def has_surely_ended(title: str) -> bool:
    """Whether the process of this title ran on this machine, and is no more."""
    host, _, pid = title.rpartition(PROCESS)
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def os_user() -> str:
    """The operating system's user: from the command line no user of Silo is known."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container may run as a number that nobody has given a name.
        return str(os.getuid())


def code_version(project: Path = PROJECT) -> str:
    """``SILO_CODE_VERSION`` where it is set, else the commit that is checked out; blank where neither is known.

    git's files are read as they stand, since starting git takes longer than migrating a tenant.
    """
    if settings.SILO_CODE_VERSION:
        return str(settings.SILO_CODE_VERSION)
    try:
        return _checked_out(_git_folder(project))
    except OSError:
        return ""


def _git_folder(project: Path) -> Path:
    folder = project / ".git"
    # In a worktree, and in a submodule, it is a file that says where.
    return folder if folder.is_dir() else project / folder.read_text().removeprefix("gitdir:").strip()


def _checked_out(git: Path) -> str:
    head = (git / "HEAD").read_text().strip()
    name = head.removeprefix("ref: ")
    if name == head:
        return head
    shared = git / "commondir"
    places = [git, git / shared.read_text().strip()] if shared.exists() else [git]
    for place in places:
        if (place / name).exists():
            return (place / name).read_text().strip()
    packed = (places[-1] / "packed-refs").read_text().splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
