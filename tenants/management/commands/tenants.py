"""``manage.py tenants ACTION``: tenants one by one; ``migrate_tenants`` is for their schemas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.errors import (
    InvalidTenantError,
    RolloutRefusedError,
    TenantError,
    TenantExistsError,
    TransitionError,
    UnknownTenantError,
)
from tenants.management.actions import (
    audit,
    create,
    delete,
    drift,
    gc_files,
    heads,
    history,
    pgbouncer,
    purge,
    rename,
    resume,
    rollback,
    rollout,
    rotate,
    run,
    settle,
    show,
    suspend,
    undelete,
)
from tenants.management.actions import list as list_action

ACTIONS: dict[str, Any] = {
    "create": create,
    "list": list_action,
    "show": show,
    "heads": heads,
    "history": history,
    "drift": drift,
    "rollout": rollout,
    "rollback": rollback,
    "settle": settle,
    "audit": audit,
    "rotate": rotate,
    "pgbouncer": pgbouncer,
    "rename": rename,
    "suspend": suspend,
    "resume": resume,
    "delete": delete,
    "undelete": undelete,
    "purge": purge,
    "run": run,
    "gc-files": gc_files,
}
REFUSALS = (InvalidTenantError, RolloutRefusedError, TenantExistsError, TransitionError, UnknownTenantError)
FAILED, REFUSED = 1, 2


class Command(BaseCommand):
    help = "Make tenants, look at them, and run commands inside them."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.parse_args = split_at_dashes(parser.parse_args)  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        for name, action in ACTIONS.items():
            action.add_arguments(actions.add_parser(name, help=action.HELP, description=action.HELP))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            code = ACTIONS[options["action"]].run(options, self.stdout._out)
        except TenantError as error:
            raise CommandError(str(error), returncode=REFUSED if isinstance(error, REFUSALS) else FAILED) from error
        if code:
            raise SystemExit(code)


def split_at_dashes(parse_args: Callable[..., Any]) -> Callable[..., Any]:
    """Take what follows the first ``--`` out before argparse sees it, or COMMAND would be taken for a slug."""

    def parse(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        given = [str(argument) for argument in args or []]
        before, after = given, []
        if "--" in given:
            at = given.index("--")
            before, after = given[:at], given[at + 1 :]
        parsed = parse_args(before, namespace)
        parsed.command = after
        return parsed

    return parse
