"""From a tenant's id to the names it has in PostgreSQL, and back. Pure.

An alias, its database and its role are one word, made from the id alone: a slug may be renamed, reused, be longer
than PostgreSQL's 63 bytes, or be an injection.
"""

from __future__ import annotations

import re
from uuid import UUID

SLUG_MAX_LENGTH = 63
"""A slug may be a host name's label (RFC 1035, section 2.3.4)."""

SLUG_REGEX = r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z"

_SLUG = re.compile(SLUG_REGEX)
_ALIAS = re.compile(r"tenant_([0-9a-f]{32})")
_TEMPLATE = re.compile(r"silo_template_[0-9a-f]{8}_[0-9a-f]{8}_[0-9a-f]{8}")


def is_slug(text: str) -> bool:
    """Whether ``text`` may be a slug. Slugs are validated, never normalised: two spellings never become one."""
    return len(text) <= SLUG_MAX_LENGTH and _SLUG.match(text) is not None


def alias_of(tenant_id: UUID) -> str:
    """The alias (and database and role) of the tenant with this id."""
    return f"tenant_{tenant_id.hex}"


def tenant_id_of(alias: str) -> UUID | None:
    """The id of the tenant that this alias belongs to; None where it is no tenant's alias."""
    match = _ALIAS.fullmatch(alias)
    return UUID(hex=match[1]) if match else None


def is_tenant_alias(alias: str) -> bool:
    return _ALIAS.fullmatch(alias) is not None


def template_name(installation_id: UUID, head_key: str, nonce: str) -> str:
    """A template's database name. Two installations may share a server, and a template is never renamed: each is new.

    ``head_key`` and ``nonce`` are hexadecimal; their first 8 digits are used.
    """
    return f"{template_prefix(installation_id)}{head_key[:8]}_{nonce[:8]}"


def template_prefix(installation_id: UUID) -> str:
    """What the names of an installation's templates begin with."""
    return f"silo_template_{installation_id.hex[:8]}_"


def is_template_alias(alias: str) -> bool:
    return _TEMPLATE.fullmatch(alias) is not None


def holds_tenant_tables(alias: str) -> bool:
    """Whether a database of this name holds tenant apps' tables: a tenant's own, or a template."""
    return is_tenant_alias(alias) or is_template_alias(alias)


def group_role(installation_id: UUID) -> str:
    """The NOLOGIN role that holds the rights on tables; each tenant's role is its member."""
    return f"silo_tenants_{installation_id.hex[:8]}"


def pgbouncer_role(installation_id: UUID) -> str:
    """The role as which a PgBouncer asks for the password verifiers of tenants' roles."""
    return f"silo_pgbouncer_{installation_id.hex[:8]}"
