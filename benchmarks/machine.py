"""What a benchmark ran on: the figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from benchmarks.contestants import PEER_PYTHON
from platform_site import embedded


def describe() -> dict[str, str]:
    return {
        "Processor": f"{processor()}, {os.cpu_count()} cores",
        "Memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "System": f"{platform.system()} {platform.release()}",
        "PostgreSQL": f"{postgresql()}, durable, over a Unix socket",
        "Python": platform.python_version(),
        "Django": metadata.version("django"),
        "psycopg2": metadata.version("psycopg2-binary"),
    }


def describe_peer() -> dict[str, str]:
    return {"django-tenants": f"{of_peer('django-tenants')}, with Django {of_peer('django')}"}


def processor() -> str:
    """The model, as the system calls it."""
    if platform.system() == "Darwin":
        return _said_by("sysctl", "-n", "machdep.cpu.brand_string")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def postgresql() -> str:
    return _said_by(str(embedded.programs() / "postgres"), "--version").split()[-1]


def of_peer(package: str) -> str:
    return _said_by(PEER_PYTHON, "-c", f"from importlib import metadata; print(metadata.version('{package}'))")


def _said_by(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
