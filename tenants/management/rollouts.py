"""What the commands that run a rollout share: progress, signals, the result and the exit code."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tenants.rollout import report
from tenants.rollout.progress import progress
from tenants.rollout.request import Request
from tenants.rollout.result import Report
from tenants.rollout.runner import run_rollout
from tenants.rollout.watcher import Stop

NOT_ALL_THERE = 1

STOPPING = (signal.SIGINT, signal.SIGTERM)

Write = Callable[[str], object]
"""A stream's."""


def carry_out(request: Request, options: dict[str, Any], write: Write) -> int:
    """Run a rollout, write how it went with ``write``, and give the exit code."""
    with progress() as watcher, stopped_by_signals() as stop:
        outcome = run_rollout(request, watcher=watcher, stop=stop)
    return tell(outcome, options, write)


def tell(outcome: Report, options: dict[str, Any], write: Write) -> int:
    """Write how a rollout went with ``write``, and give the exit code."""
    write((report.as_json(outcome) if options["format"] == "json" else report.in_words(outcome)) + "\n")
    if outcome.signal is not None and outcome.pending:
        return 128 + outcome.signal
    if outcome.lost and options["format"] == "json":
        sys.stderr.write(f"{report.lost_in_words(outcome)}\n")
    return NOT_ALL_THERE if outcome.failures or outcome.pending or outcome.lost else 0


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """SIGINT and SIGTERM let the migrations in hand end, and begin nothing more; another one cancels those in hand.

    They are heard in a thread of their own: Python's handlers would wait for the main thread, which psycopg2 holds
    while a statement runs, such as one of the template's.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        # Python delivers signals to the main thread only, which is not ours to take them from.
        yield stop
        return
    ears, mouth = socket.socketpair()
    mouth.setblocking(False)

    def listen() -> None:
        while heard := ears.recv(1):
            if heard[0] in STOPPING:
                stop.ask(heard[0])

    listener = threading.Thread(target=listen, name="silo-signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, lambda *_: None) for number in STOPPING}
    wakeup = signal.set_wakeup_fd(mouth.fileno())
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        mouth.close()
        listener.join()
        ears.close()
