"""The process in which a contestant answers: the whole WSGI application, called in one thread.

`python -m benchmarks.requests.answer WORK.json TENANTS BELOW`, with TENANTS of those that `fleet` wrote asked in turn.
For each line `ENDPOINT N` on stdin it answers N requests and prints the seconds they took, and those of its processor.

In the process, and not over HTTP: a server in front, its sockets and a client on the same two cores would cost the same
for all, three times what is compared, and hide the difference.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.core.wsgi import get_wsgi_application

from benchmarks.requests.results import DOCUMENT, PAGE


def environ_of(path: str, token: str) -> dict[str, Any]:
    """As a server in front would make it, PEP 3333."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": "application/json",
        "HTTP_AUTHORIZATION": f"Token {token}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def answer(application: Callable[..., Any], path: str, token: str) -> None:
    """Raises ``RuntimeError`` where the answer is another than 200."""
    statuses: list[str] = []
    reply = application(environ_of(path, token), lambda status, headers: statuses.append(status))
    try:
        body = b"".join(reply)
    finally:
        reply.close()
    if statuses != ["200 OK"]:
        raise RuntimeError(f"{path}: {statuses} {body[:1000]!r}")


def paths_of(tenants: list[dict[str, str]], below: str) -> dict[str, Iterator[str]]:
    pages = [f"{below}tenants/{tenant['slug']}/documents/" for tenant in tenants]
    single = [f"{page}{tenant['document']}/" for page, tenant in zip(pages, tenants, strict=True)]
    return {PAGE: itertools.cycle(pages), DOCUMENT: itertools.cycle(single)}


def main(work: str, number: str, below: str) -> None:
    application = get_wsgi_application()
    known = json.loads(Path(work).read_text())
    paths = paths_of(known["tenants"][: int(number)], below)
    for line in sys.stdin:
        endpoint, count = line.split()
        began, began_cpu = time.perf_counter(), time.process_time()
        for path in itertools.islice(paths[endpoint], int(count)):
            answer(application, path, known["token"])
        print(time.perf_counter() - began, time.process_time() - began_cpu, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
