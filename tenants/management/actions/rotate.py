"""``tenants rotate``: give tenants' roles new passwords, while they are served."""

from __future__ import annotations

from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from tenants.databases.in_parallel import in_parallel
from tenants.databases.rotation import rotate
from tenants.errors import UnknownTenantError
from tenants.management.arguments import positive
from tenants.management.counting import Counter
from tenants.models import Tenant
from tenants.rollout.progress import count
from tenants.rollout.request import DEFAULT_WORKERS

HELP = "Give tenants' roles new passwords, made under the present TENANT_CREDENTIALS_KEY; no request fails meanwhile."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", nargs="*", metavar="SLUG")
    parser.add_argument("--all", action="store_true", help="Of every tenant.")
    parser.add_argument("--workers", type=positive, default=DEFAULT_WORKERS, metavar="N", help="At a time.")


def run(options: dict[str, Any], out: TextIO) -> int:
    tenants = _selected(options)
    counter = Counter(len(tenants))
    failed = []
    for tenant, outcome in in_parallel(rotate, tenants, workers=options["workers"]):
        counter.step()
        if isinstance(outcome, Exception):
            failed.append(tenant)
            out.write(f"{tenant.slug} failed: {type(outcome).__name__}: {str(outcome).strip()}\n")
    out.write(f"{count(len(tenants) - len(failed), 'password')} rotated, {len(failed)} failed\n")
    return 1 if failed else 0


def _selected(options: dict[str, Any]) -> list[Tenant]:
    """Also those that are being made or suspended: a key can only be given up when no password is under it."""
    if bool(options["slug"]) == options["all"]:
        raise CommandError("Name tenants, or give --all: tenants rotate acme.", returncode=2)
    there = Tenant.objects.exclude(state=Tenant.State.DELETING).select_related("server")
    if options["all"]:
        return list(there)
    found = list(there.filter(slug__in=options["slug"]))
    if unknown := set(options["slug"]) - {tenant.slug for tenant in found}:
        raise UnknownTenantError(", ".join(sorted(unknown)))
    return found
