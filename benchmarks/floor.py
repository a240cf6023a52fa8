"""The floor: what PostgreSQL itself needs, asked of it by threads with psycopg2 and nothing else.

`python -m benchmarks.floor WORK.json replay|look|check THREADS`; `benchmarks.fleet` writes the work. For each tenant:

- `replay`: connect, run the rollout's SQL and its record in one transaction
- `look`: connect, read `django_migrations`, as a rollout with nothing to do must
- `check`: as `look`, and fail unless the rollout is recorded
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2

LAST = ("notes", "0002_five")


def replay(session: Any, statements: list[str]) -> None:
    with session, session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def look(session: Any, statements: list[str]) -> list[tuple[str, str]]:
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        return list(cursor.fetchall())


def check(session: Any, statements: list[str]) -> None:
    if LAST not in look(session, statements):
        raise RuntimeError(f"{session.dsn} was not migrated")


def main(path: str, what: str, threads: str) -> None:
    work = json.loads(Path(path).read_text())
    act: Callable[[Any, list[str]], object] = {"replay": replay, "look": look, "check": check}[what]
    waiting: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    for address in work["sessions"]:
        waiting.put(address)
    failures: list[Exception] = []

    def run() -> None:
        try:
            while True:
                session = psycopg2.connect(**waiting.get_nowait())
                act(session, work["sql"])
                session.close()
        except queue.Empty:
            pass
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=run) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
