"""``--database=<alias of a tenant>`` for every command, Django's and others', also through ``call_command``.

Commands offer ``choices=tuple(connections)``, and iterating ``connections`` never yields ten thousand tenants. This is
the one place that changes Django's ``BaseCommand``: the choices look an alias up instead, and the command runs with
that tenant current.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from tenants import naming
from tenants.context import use_tenant
from tenants.errors import TenantError, UnknownTenantError
from tenants.routing.registry import directory


class AliasChoices:
    """What ``--database`` accepts: the aliases that settings.py names, and any tenant's."""

    def __contains__(self, alias: object) -> bool:
        return alias in connections.settings

    def __iter__(self) -> Iterator[str]:
        yield from (alias for alias in connections if not naming.is_tenant_alias(alias))
        yield "tenant_<id>"


def install() -> None:
    if getattr(BaseCommand, "_silo_databases", False):
        return
    # The one place that replaces methods of Django's command, hence the ignores here and below.
    BaseCommand._silo_databases = True  # type: ignore[attr-defined]
    create_parser, execute = BaseCommand.create_parser, BaseCommand.execute

    @wraps(create_parser)
    def create_parser_with_tenants(self: BaseCommand, *args: Any, **kwargs: Any) -> CommandParser:
        parser = create_parser(self, *args, **kwargs)
        for action in parser._actions:
            if action.dest in {"database", "databases"} and action.choices is not None:
                action.choices = AliasChoices()
        return parser

    @wraps(execute)
    def execute_in_tenant(self: BaseCommand, *args: Any, **options: Any) -> Any:
        with _scope_of(options.get("database")):
            return execute(self, *args, **options)

    BaseCommand.create_parser = create_parser_with_tenants  # type: ignore[method-assign]
    BaseCommand.execute = execute_in_tenant  # type: ignore[method-assign]


def _scope_of(alias: object) -> AbstractContextManager[object]:
    if not isinstance(alias, str) or not naming.is_tenant_alias(alias):
        return nullcontext()
    tenant = directory.find_by_alias(alias)
    try:
        if tenant is None:
            raise UnknownTenantError(alias)
        tenant.require_active()
    except TenantError as error:
        raise CommandError(str(error)) from error
    return use_tenant(tenant)
