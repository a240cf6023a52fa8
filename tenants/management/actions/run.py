"""``tenants run``: any management command inside tenants, one after the other."""

from __future__ import annotations

import io
from typing import Any, TextIO

from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.context import use_tenant
from tenants.models import Tenant
from tenants.rollout.selection import Selection

HELP = "Run a management command inside tenants: tenants run acme globex -- COMMAND [ARGS]. Exit 1 if one failed."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", nargs="*", metavar="SLUG")
    parser.add_argument("--all", action="store_true", help="In every active tenant.")


def run(options: dict[str, Any], out: TextIO) -> int:
    tenants = _selected(options)
    name, *arguments = options["command"]
    lines = WholeLines(out)
    failed = []
    for tenant in tenants:
        lines.write_line(f"== {tenant.slug}")
        try:
            with use_tenant(tenant):
                call_command(name, *_with_database(name, arguments, tenant), stdout=lines)
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and not error.code:
                continue
            failed.append(tenant.slug)
            lines.write_line(f"{tenant.slug} failed: {type(error).__name__}: {error}")
    if failed:
        lines.write_line(f"failed in {len(failed)} of {len(tenants)} tenants: {', '.join(failed)}")
    lines.end_line()
    return 1 if failed else 0


class WholeLines(io.TextIOBase):
    """Passes a command's output on as it is, and knows whether the last line was ended: dumpdata's is not."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._ended = True

    def write(self, text: str) -> int:
        if text:
            self._ended = text.endswith("\n")
        return self._stream.write(text)

    def end_line(self) -> None:
        if not self._ended:
            self.write("\n")

    def write_line(self, line: str) -> None:
        self.end_line()
        self.write(f"{line}\n")


def _selected(options: dict[str, Any]) -> list[Tenant]:
    if bool(options["slug"]) == options["all"]:
        raise CommandError("Name tenants, or give --all: tenants run acme -- COMMAND.", returncode=2)
    if not options["command"]:
        raise CommandError("Say what to run after --: tenants run acme -- COMMAND [ARGS].", returncode=2)
    if options["command"][0] not in get_commands():
        raise CommandError(f"There is no management command {options['command'][0]!r}.", returncode=2)
    tenants = Selection(slugs=tuple(options["slug"])).tenants()
    return [tenant for tenant in tenants if tenant.state == Tenant.State.ACTIVE or not options["all"]]


def _with_database(name: str, arguments: list[str], tenant: Tenant) -> list[str]:
    """Give ``--database`` to a command that has it and was not told: inside a tenant it means the tenant's."""
    if any(argument.split("=")[0] == "--database" for argument in arguments):
        return arguments
    app = get_commands()[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
    takes = any(action.dest == "database" for action in command.create_parser("manage.py", name)._actions)
    return [*arguments, f"--database={tenant.alias}"] if takes else arguments
