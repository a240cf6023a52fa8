"""``tenants create``: make a tenant and its database, or go on with one that was cut off."""

from __future__ import annotations

from typing import Any, TextIO

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from tenants.lifecycle import create_tenant, resume_creation
from tenants.management.arguments import key_value
from tenants.models import Server

HELP = "Make a tenant and its database; run again after a failure, it goes on."


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", metavar="SLUG", help="Lower-case letters, digits and hyphens.")
    parser.add_argument("--name", default="", help="What people call it (default: the slug).")
    parser.add_argument("--owner", metavar="EMAIL", help="A user who is to own it.")
    parser.add_argument("--server", metavar="NAME", help="Where its database goes (default: the one with most room).")
    parser.add_argument("--label", action="append", default=[], type=key_value, metavar="KEY=VALUE", help="Repeatable.")


def run(options: dict[str, Any], out: TextIO) -> int:
    tenant = resume_creation(options["slug"]) or create_tenant(
        slug=options["slug"],
        name=options["name"],
        owner=_owner(options["owner"]),
        server=_server(options["server"]),
        labels=dict(options["label"]),
    )
    out.write(f"{tenant.slug} is {tenant.state}: database {tenant.alias} on {tenant.server}\n")
    return 0


def _owner(email: str | None) -> Any:
    if email is None:
        return None
    user = get_user_model().objects.filter(email=email).first()
    if user is None:
        raise CommandError(f"No user has the e-mail {email}; make one with createsuperuser or the API.", returncode=2)
    return user


def _server(name: str | None) -> Server | None:
    if name is None:
        return None
    server = Server.objects.filter(name=name).first()
    if server is None:
        known = ", ".join(Server.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"No server is named {name}; there are: {known}.", returncode=2)
    return server
