"""`make bench`: measures, and writes NAME.json, NAME.md and NAME.png for each part.

rollout    rollouts beside the floor, a loop and django-tenants: a migration of five operations, and nothing to do
requests   requests to a tenant's endpoint with 10 and with 10,000 tenants, beside one plain Django database
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import rollout
from benchmarks.cluster import say
from benchmarks.contestants import PEER_PYTHON
from benchmarks.draw import FOLDER, PARTS, draw
from benchmarks.measure import CommandFailedError
from benchmarks.requests import course
from benchmarks.requests.contestants import FEW
from benchmarks.requests.results import Results as OfRequests
from benchmarks.results import Results as OfRollout


def measured_rollout(options: argparse.Namespace, folder: Path) -> OfRollout:
    if not Path(PEER_PYTHON).exists():
        sys.exit(f"django-tenants is not installed in {PEER_PYTHON}. Run `make bench`.")
    return rollout.measured(options.tenants, options.repetitions, options.slow_repetitions, folder)


def measured_requests(options: argparse.Namespace, folder: Path) -> OfRequests:
    return course.measured(options.registered, min(options.real, options.registered), options.rounds, folder)


MEASURED: dict[str, Callable[[argparse.Namespace, Path], OfRollout | OfRequests]] = {
    "rollout": measured_rollout,
    "requests": measured_requests,
}


def main() -> None:
    options = arguments()
    try:
        for part in options.parts or PARTS:
            with tempfile.TemporaryDirectory(prefix="silo-bench-") as folder:
                MEASURED[part](options, Path(folder)).save(options.output / f"{part}.json")
            draw(part, options.output)
            say(f"Written: {part}.md, {part}.png and {part}.json in {options.output}")
    except CommandFailedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("parts", nargs="*", type=part_named, metavar="PART", help="rollout, requests (default both)")
    add("--output", type=Path, default=FOLDER, metavar="FOLDER", help="where to write (default docs/benchmarks)")
    add = parser.add_argument_group("rollout").add_argument
    add("--tenants", type=sizes, default=[50, 200], metavar="N,N", help="fleet sizes (default 50,200)")
    add("--repetitions", type=positive, default=5, metavar="N", help="of silo and the floor (default 5)")
    add("--slow-repetitions", type=positive, default=3, metavar="N", help="of the others (default 3)")
    add = parser.add_argument_group("requests").add_argument
    add("--registered", type=registered, default=10_000, metavar="N", help="tenants in main (default 10000)")
    add("--real", type=registered, default=200, metavar="N", help="of them with a database (default 200)")
    add("--rounds", type=positive, default=40, metavar="N", help="turns of each contestant (default 40)")
    return parser.parse_args()


def part_named(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"{text} is none of: {', '.join(PARTS)}")
    return text


def sizes(text: str) -> list[int]:
    return sorted({positive(size) for size in text.split(",")})


def positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return int(text)


def registered(text: str) -> int:
    if int(text) < FEW:
        raise argparse.ArgumentTypeError(f"{text} is less than the {FEW} of the other contestant")
    return int(text)


if __name__ == "__main__":
    main()
