"""The PostgreSQL of the benchmarks."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from platform_site import embedded


@contextmanager
def cluster() -> Iterator[None]:
    """A PostgreSQL of the benchmark's own, gone at the end, also after Ctrl-C or SIGTERM. `make stop` knows it too."""
    data_dir = embedded.data_dir_of_tests("bench")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        embedded.remove(data_dir)  # what a killed benchmark left
        embedded.ensure_running(data_dir)
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # cleaning up is not to be cut off
        embedded.remove(data_dir)
        shutil.rmtree(data_dir, ignore_errors=True)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
