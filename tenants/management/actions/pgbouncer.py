"""``tenants pgbouncer``: print the files of a PgBouncer between requests and tenants."""

from __future__ import annotations

from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from tenants.databases import pgbouncer
from tenants.models import Server

HELP = "Print what a PgBouncer in transaction mode needs: its configuration, its users, and the SQL to ask for them."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", nargs="?", choices=("ini", "users", "sql"), default="ini", help="Which (default: ini).")
    parser.add_argument("--server", metavar="NAME", help="Of which server's tenants (default: the only one).")
    parser.add_argument(
        "--auth",
        choices=("query", "file"),
        default="query",
        help="Ask PostgreSQL for passwords (PgBouncer 1.19 and later), or have a file with all of them.",
    )


def run(options: dict[str, Any], out: TextIO) -> int:
    server = _server(options["server"])
    if options["file"] == "sql":
        if options["auth"] == "file":
            raise CommandError("With --auth file PostgreSQL is not asked, so there is no SQL to run.", returncode=2)
        out.write(pgbouncer.sql(server))
    elif options["file"] == "users":
        out.write(pgbouncer.users(server, auth=options["auth"]))
    else:
        out.write(pgbouncer.ini(server, auth=options["auth"]))
    return 0


def _server(name: str | None) -> Server:
    found = Server.objects.filter(name=name) if name else Server.objects.all()
    if len(found) != 1:
        known = ", ".join(Server.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"Say which server with --server; there are: {known}.", returncode=2)
    return found[0]
