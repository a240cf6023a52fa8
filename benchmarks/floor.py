"""The floor: the same SQL and record in one transaction per tenant, by threads, with psycopg2 and nothing else.

`python -m benchmarks.floor WORK.json replay|look`; the work is `{"address": {}, "databases": [], "sql": [],
"workers": 4}`. `look` connects and reads `django_migrations`, as a rollout with nothing to do must.
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


def main(path: str, what: str) -> None:
    work = json.loads(Path(path).read_text())
    databases: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in work["databases"]:
        databases.put(name)
    act = replay if what == "replay" else look

    def run() -> None:
        while True:
            try:
                name = databases.get_nowait()
            except queue.Empty:
                return
            in_session(work["address"] | {"dbname": name}, lambda cursor: act(cursor, work["sql"]))

    threads = [threading.Thread(target=run) for _ in range(work["workers"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_session(address: dict[str, str], act: Callable[[Any], None]) -> None:
    session = psycopg2.connect(**address, options="-c search_path=public")
    with session, session.cursor() as cursor:
        act(cursor)
    session.close()


def replay(cursor: Any, statements: list[str]) -> None:
    for statement in statements:
        cursor.execute(statement)


def look(cursor: Any, statements: list[str]) -> None:
    cursor.execute("SELECT app, name FROM django_migrations")
    cursor.fetchall()


if __name__ == "__main__":
    main(*sys.argv[1:])
