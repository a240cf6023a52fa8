"""``manage.py migrate_tenants``: bring every tenant's database to a migration."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from tenants.databases.sessions import SessionLimits
from tenants.errors import RolloutRefusedError, TenantError
from tenants.management.arguments import add_format, duration, key_value, parsed_by, positive
from tenants.management.rollouts import carry_out
from tenants.rollout.policy import MaxFailures
from tenants.rollout.request import DEFAULT_WORKERS, Request
from tenants.rollout.resume import request_again
from tenants.rollout.selection import Selection
from tenants.rollout.target import resolve
from tenants.rollout.waves import Canary, parse_waves
from tenants.rollout.worker import WorkOptions

REFUSED = 2

EXAMPLES = """
examples:
  migrate_tenants --plan                       what would be done, by group of tenants
  migrate_tenants                              every tenant to the last migration of every tenant app
  migrate_tenants tenant_data 0001             back (or forth) to a migration; "zero" takes all of an app back
  migrate_tenants tenant_data -1               one migration back (or +2 on) from where each tenant stands
  migrate_tenants --tenant acme --tenant globex
  migrate_tenants --canary 2% --waves 10%,50%,100%
  migrate_tenants --on-error continue --max-failures 5%
  migrate_tenants --resume                     go on with the last rollout, as it was asked for
  migrate_tenants --check                      exit 1 if a tenant is behind: for a deploy's first step

exit codes:
  0 every selected tenant is where it should be      1 at least one is not
  2 refused, no tenant was touched                 130, 143 interrupted; nothing is half done
"""


class Command(BaseCommand):
    help = "Bring the databases of all tenants, or of the selected ones, to a migration."
    # Silo's own checks are among these. The rest would import every view, which takes longer than 50 tenants.
    requires_system_checks = (checks.Tags.models,)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("app_label", nargs="?", help="Tenant app; without it, all of them.")
        parser.add_argument("migration", nargs="?", help='Name or unique beginning of one; "zero" for none; -1, +2.')
        parser.add_argument("--noinput", action="store_false", dest="interactive", help="Ask nothing.")

        add_selection(parser)
        add_dry_runs(parser)
        add_manner(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        changes_nothing = options["plan"] or options["sql"] or options["check"]
        try:
            code = self._show(options) if changes_nothing else self._migrate(options)
        except TenantError as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        if code:
            raise SystemExit(code)

    def _migrate(self, options: dict[str, Any]) -> int:
        return carry_out(request_of(options), options, self.stdout.write)

    def _show(self, options: dict[str, Any]) -> int:
        from tenants.management import dry_runs  # Only here: importing it takes longer than migrating a tenant.

        target = resolve(options["app_label"], options["migration"])
        return dry_runs.show(selection_of(options), target, options, self.stdout.write)


def add_selection(parser: CommandParser) -> None:
    """Which tenants."""
    select = parser.add_argument_group("selection")
    select.add_argument("--tenant", action="append", default=[], metavar="SLUG", help="Only this one (repeatable).")
    select.add_argument("--exclude", action="append", default=[], metavar="SLUG", help="Not this one (repeatable).")
    select.add_argument(
        "--label", action="append", default=[], type=key_value, metavar="KEY=VALUE", help="Only those labelled so."
    )
    select.add_argument("--server", metavar="NAME", help="Only those on this server.")
    select.add_argument("--only-failed", action="store_true", help="Only those whose last try failed.")


def add_dry_runs(parser: CommandParser) -> None:
    """What looks ahead and changes nothing."""
    dry = parser.add_argument_group("changing nothing").add_mutually_exclusive_group()
    dry.add_argument("--plan", action="store_true", help="Show what would be done, by group of tenants.")
    dry.add_argument("--sql", action="store_true", help="Print the SQL that each group would run.")
    dry.add_argument("--check", action="store_true", help="Exit 1 if a tenant is behind.")


def add_manner(parser: CommandParser) -> None:
    """In which order, how fast, and what follows an error."""
    how = parser.add_argument_group("how")
    how.add_argument(
        "--on-error",
        choices=("stop", "continue"),
        default="stop",
        help="stop: begin no more tenants after a failure (default). continue: until --max-failures, or else until "
        "3 equal errors in a row or over 2%% failed once 50 were tried.",
    )
    how.add_argument(
        "--max-failures",
        type=parsed_by(MaxFailures.parse),
        metavar="N|N%",
        help="Begin no more once more than these have failed.",
    )
    how.add_argument(
        "--canary",
        type=parsed_by(Canary.parse),
        metavar="N|N%|SLUG,...",
        help="Migrate these first, the smallest databases, or the named; go on only if all of them succeed.",
    )
    how.add_argument(
        "--waves",
        type=parsed_by(parse_waves),
        default=(),
        metavar="5%,25%,100%",
        help="Migrate in waves, each up to this share of all; the next begins when the last has ended well.",
    )
    how.add_argument(
        "--workers", type=positive, default=DEFAULT_WORKERS, metavar="N", help="Tenants at a time (default 4)."
    )
    how.add_argument(
        "--lock-timeout",
        type=duration,
        default=timedelta(seconds=2),
        metavar="2s",
        help="How long a statement may wait for a lock; live queries never queue behind it longer (default 2s).",
    )
    how.add_argument(
        "--statement-timeout",
        type=duration,
        default=timedelta(minutes=15),
        metavar="15min",
        help="How long a statement may run (default 15min).",
    )
    how.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="ID",
        help="Go on with a rollout that was cut off, as it was asked for (default: the last).",
    )
    how.add_argument(
        "--started-by", metavar="EMAIL", help="Which user of Silo starts it, for the ledger (default: nobody's name)."
    )
    how.add_argument("--fake", action="store_true", help="Record the migrations and run nothing.")
    add_format(how)


def request_of(options: dict[str, Any]) -> Request:
    selection, asked = selection_of(options), (options["app_label"], options["migration"])
    if options["resume"] is not None:
        if asked != (None, None) or selection != Selection() or options["fake"]:
            raise RolloutRefusedError("--resume takes its target and tenants from the rollout that it goes on with")
        return replace(request_again(options["resume"]), started_by=user_of(options["started_by"]))
    return Request(
        target=resolve(*asked),
        asked=asked,
        selection=selection,
        workers=options["workers"],
        on_error=options["on_error"],
        max_failures=options["max_failures"],
        canary=options["canary"],
        waves=options["waves"],
        started_by=user_of(options["started_by"]),
        work=WorkOptions(
            limits=SessionLimits(options["lock_timeout"], options["statement_timeout"]),
            fake=options["fake"],
            interactive=options["interactive"],
        ),
    )


def user_of(email: str | None) -> User | None:
    if email is None:
        return None
    user = User.objects.filter(email=email).first()
    if user is None:
        raise RolloutRefusedError(f"--started-by: no user has the email {email!r}")
    return user


def selection_of(options: dict[str, Any]) -> Selection:
    return Selection(
        slugs=tuple(options["tenant"]),
        excluded=tuple(options["exclude"]),
        labels=tuple(options["label"]),
        server=options["server"],
        only_failed=options["only_failed"],
    )
