"""``manage.py migrate_tenants``: bring every tenant's database to a migration."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from tenants.errors import RolloutRefusedError, TenantError
from tenants.management.arguments import add_format, key_value
from tenants.management.manner import add_manner, in_the_manner_of
from tenants.management.rollouts import carry_out
from tenants.rollout.request import Request
from tenants.rollout.resume import request_again
from tenants.rollout.selection import Selection
from tenants.rollout.target import resolve
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
  migrate_tenants --resume --lock-timeout 10s  the same, more patiently
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

        parser.add_argument("--fake", action="store_true", help="Record the migrations and run nothing.")
        parser.add_argument(
            "--resume",
            nargs="?",
            const="",
            metavar="ID",
            help="Go on with a rollout that was cut off (default: the last), as it was asked for; what is said of how "
            "to do it replaces what was said then.",
        )
        parser.add_argument(
            "--started-by", metavar="EMAIL", help="Which user of Silo starts it, for the ledger (default: no name)."
        )
        add_format(parser)
        add_selection(parser)
        add_dry_runs(parser)
        add_manner(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        changes_nothing = options["plan"] or options["sql"] or options["check"]
        try:
            request = request_of(options)
            code = (self._show if changes_nothing else self._migrate)(request, options)
        except TenantError as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        if code:
            raise SystemExit(code)

    def _migrate(self, request: Request, options: dict[str, Any]) -> int:
        return carry_out(request, options, self.stdout.write)

    def _show(self, request: Request, options: dict[str, Any]) -> int:
        from tenants.management import dry_runs  # Only here: importing it takes longer than migrating a tenant.

        return dry_runs.show(request, options, self.stdout.write)


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


def request_of(options: dict[str, Any]) -> Request:
    selection, asked = selection_of(options), (options["app_label"], options["migration"])
    if options["resume"] is None:
        request = Request(
            target=resolve(*asked), asked=asked, selection=selection, work=WorkOptions(fake=options["fake"])
        )
    elif asked != (None, None) or selection != Selection() or options["fake"]:
        raise RolloutRefusedError("--resume takes its target and tenants from the rollout that it goes on with")
    else:
        request = request_again(options["resume"])
    return replace(in_the_manner_of(options, request), started_by=user_of(options["started_by"]))


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
