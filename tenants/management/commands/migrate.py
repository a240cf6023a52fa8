"""Django's ``migrate``, which on a tenant does what a rollout does to it.

A tenant's run-time role has no DDL, so there it runs as the owner, under the tenant's lock, and records what a rollout
would. On main it is Django's own.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate

from tenants import naming
from tenants.errors import TenantError
from tenants.rollout import preview, report
from tenants.rollout.observe import observe
from tenants.rollout.request import Request
from tenants.rollout.runner import run_rollout
from tenants.rollout.selection import Selection
from tenants.rollout.survey import survey
from tenants.rollout.target import resolve
from tenants.rollout.worker import WorkOptions
from tenants.routing.registry import directory

NOT_ON_TENANTS = ("fake_initial", "run_syncdb", "prune")


class Command(migrate.Command):
    help = f"{migrate.Command.help} On a tenant (--database=tenant_<id>) it runs as migrate_tenants does."

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        if not naming.is_tenant_alias(alias):
            super().handle(*args, **options)
            return
        for name in NOT_ON_TENANTS:
            if options.get(name):
                raise CommandError(f"--{name.replace('_', '-')} is for main only; see `migrate_tenants --help`.")
        tenant = directory.find_by_alias(alias)
        if tenant is None:
            raise CommandError(f"No tenant has the alias {alias}.")
        try:
            self._migrate_tenant(tenant.slug, options)
        except TenantError as error:
            raise CommandError(str(error)) from error

    def _migrate_tenant(self, slug: str, options: dict[str, Any]) -> None:
        target = resolve(options["app_label"], options["migration_name"])
        selection = Selection(slugs=(slug,))
        if options["plan"] or options["check_unapplied"]:
            found = survey(selection.tenants(), target, workers=1)
            observed = [observe(plan) for plan in found.behind] if options["plan"] else None
            self.stdout.write(preview.in_words(found, target=target.title, observed=observed))
            if found.failures or (options["check_unapplied"] and found.behind):
                raise SystemExit(1)
            return
        work = WorkOptions(fake=options["fake"], interactive=options["interactive"])
        outcome = run_rollout(Request(target, selection, workers=1, work=work))
        if options["verbosity"] >= 1:
            self.stdout.write(report.in_words(outcome))
        if outcome.failures or outcome.pending or outcome.lost:
            raise CommandError(f"{slug} is not where it should be.")
