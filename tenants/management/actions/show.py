"""``tenants show``: one tenant, with what its own database says."""

from __future__ import annotations

import json
from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.errors import TenantError
from tenants.management.actions.list import as_dict
from tenants.management.arguments import add_format
from tenants.models import Tenant
from tenants.rollout.heads import head_of
from tenants.rollout.report import head_in_words
from tenants.rollout.worker import look
from tenants.routing.connections import address_of
from tenants.routing.registry import directory

HELP = "Show one tenant, with its members and what its own database says."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", metavar="SLUG")
    add_format(parser)


def run(options: dict[str, Any], out: TextIO) -> int:
    tenant = directory.find(options["slug"])
    shown = as_dict(tenant) | {
        "members": {one.user.email: one.role for one in tenant.associations.select_related("user")},
        "database": _database(tenant),
        "failure": tenant.failure or None,
        "delete_at": tenant.delete_at.isoformat(timespec="seconds") if tenant.delete_at else None,
    }
    if options["format"] == "json":
        out.write(json.dumps(shown) + "\n")
        return 0
    shown["head"] = head_in_words(tenant.head)
    if "head" in shown["database"]:
        shown["database"]["head"] = head_in_words(shown["database"]["head"])
    for name, value in shown.items():
        for number, line in enumerate(_lines(value)):
            out.write(f"{name if number == 0 else '':<12}{line}\n")
    return 0


def _database(tenant: Tenant) -> dict[str, Any]:
    """Where the database is, and its own head; or why it cannot be asked."""
    host, port = address_of(tenant.server)
    where = {"host": host, "port": port}
    if tenant.state != Tenant.State.ACTIVE:
        return where
    try:
        facts = look(tenant)
    except (TenantError, OSError) as error:
        return {**where, "error": str(error)}
    return {**where, "head": head_of(facts.applied), "migrations": len(facts.applied)}


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {one}" for key, one in value.items()] or ["-"]
    return [str(value) if value not in (None, "") else "-"]
