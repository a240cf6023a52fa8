"""The page on requests, in Markdown."""

from __future__ import annotations

from benchmarks.report import table
from benchmarks.requests.results import ENDPOINTS, PEER, Results

HEAD = """\
# Requests

Made by `make bench`, from [requests.json](requests.json). A member of the tenant reads documents, with a token, through
the whole WSGI application, its middleware included. It is called in the process, by one thread: a server in front and a
client on the same cores would cost the same for all, and hide what is compared. All contestants are up at once and take
short turns, in an order that turns with each round. Ratios are taken within a round; the figures are medians. Each
contestant has eight processes, one after the other, as two of the same code differ by some 3 %.

The view is the same for all, and so is the class that reads tokens. Silo finds the token, its user and his place in the
tenant by one query, written once; the plain one has Django's ORM find the token, and then the member, as views do.

Beside the plain database stands *1 of 10,000*: both ask one database again and again. Those that ask ten in turn have
ten of the server's processes take turns too, each of which finds its processor's caches full of the others' work."""

REPEAT = """\
## Repeat it

On a machine that does nothing else, some seven minutes, as root or not:

```sh
make bench BENCH=requests
make bench BENCH="requests --registered 100000"
```

It runs a PostgreSQL of its own. `.venv/bin/python -m benchmarks.draw` draws this page and the picture again from the
figures."""


def page(results: Results) -> str:
    parts = [
        HEAD,
        table(["contestant", "what answers"], (list(each) for each in results.contestants.items())),
        table(["on", ""], ([name, value] for name, value in results.machine.items())),
        "![Requests a second, and times of the plain database](requests.png)",
    ]
    for endpoint, title in ENDPOINTS.items():
        parts += [f"## {title[0].upper()}{title[1:]}", times(results, endpoint)]
    return "\n\n".join([*parts, REPEAT]) + "\n"


def times(results: Results, endpoint: str) -> str:
    """One row a contestant: its rate, the spread of its times, and how it stands to the peer and to Silo with few."""
    few = next(name for name in results.contestants if not name.startswith(PEER))
    rows = []
    for name in results.contestants:
        taken = sorted(results.ms(endpoint, name))
        rows.append(
            [
                name,
                f"{results.requests_a_second(endpoint, name):.0f}",
                f"{1000 / results.requests_a_second(endpoint, name):.2f}",
                f"{taken[0]:.2f}, {taken[-1]:.2f}",
                f"{results.cpu_ms(endpoint, name):.2f}",
                *(f"{results.times_of(endpoint, name, other):.3f}" for other in (PEER, few)),
            ]
        )
    return table(["", "requests a second", "ms", "from, to", "ms of processor", "of plain", f"of {few}"], rows)
