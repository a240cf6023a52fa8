"""Every expected failure of the tenants app. The first line of each docstring is the message people read."""

from __future__ import annotations

from typing import Any


class TenantError(Exception):
    """The tenant operation failed."""

    def __init__(self, detail: str = "", **facts: Any) -> None:
        """``detail`` completes the class's message; ``facts`` (tenant, migration, sqlstate...) become attributes."""
        self.detail = detail
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)
        headline = (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{headline.rstrip('.')}: {detail}" if detail else headline)


class NoTenantError(TenantError):
    """No tenant is current, so this query has no database; wrap it in `with use_tenant(tenant):`."""


class WrongTenantError(TenantError):
    """This belongs to another tenant than the current one."""


class BareTransactionError(TenantError):
    """Inside a tenant, say which database: `tenant_atomic()`, `tenant_on_commit()`, or `using="default"` for main."""


class UnknownTenantError(TenantError):
    """There is no such tenant."""


class TenantUnavailableError(TenantError):
    """The tenant cannot be served now."""

    retry_after_s = 30


class TenantBehindError(TenantUnavailableError):
    """The tenant's database is not yet at the schema this code needs; run `manage.py migrate_tenants`."""


class TenantBusyError(TenantUnavailableError):
    """Another session is changing this tenant's database."""


class ServerDownError(TenantUnavailableError):
    """The tenant's server cannot be reached."""


class ServerCrowdedError(TenantUnavailableError):
    """The tenant's server gives no more sessions."""


class ServerRefusedError(TenantUnavailableError):
    """The tenant's server does not let the platform's role in."""


class DiskFullError(TenantUnavailableError):
    """The disk of the tenant's server is full; free some space there, then run `manage.py migrate_tenants --resume`."""


class DatabaseMissingError(TenantUnavailableError):
    """The tenant's database does not exist on its server."""


class DatabaseClosedError(TenantUnavailableError):
    """The tenant's database takes no sessions; `manage.py tenants resume SLUG` opens a suspended one."""


class DatabaseCrowdedError(TenantUnavailableError):
    """The tenant's database gives no more sessions."""


class ConnectionsInUseError(TenantUnavailableError):
    """All connections to tenants' databases are in use; if this lasts, raise TENANT_POOL_SIZE or its fellows."""

    retry_after_s = 5


class ForeignDatabaseError(TenantUnavailableError):
    """The tenant's database is stamped as another tenant's, and is not served; see the runbook on restoring."""


class CredentialsKeyError(TenantUnavailableError):
    """The tenant's password was made under a key that TENANT_CREDENTIALS_KEY and its fallbacks lack."""


class TransitionError(TenantError):
    """The present state does not allow this."""


class InvalidTenantError(TenantError):
    """The tenant's details are not valid."""


class TenantExistsError(TenantError):
    """Another tenant has this slug."""


class LastOwnerError(TenantError):
    """The last owner of a tenant cannot leave or become something else; make somebody else an owner first."""


class NotMemberError(TenantError):
    """This user does not belong to the tenant any more."""


class RoleError(TenantError):
    """Your role in this tenant does not allow this."""


class InvalidInvitationError(TenantError):
    """This invitation was used, taken back or has expired; ask for another one."""


class OtherAddressError(TenantError):
    """This invitation was sent to another address than yours; log in as that one, or register it."""


class AlreadyMemberError(TenantError):
    """This user is a member of the tenant already."""


class ProvisioningError(TenantError):
    """The tenant's database could not be made; `manage.py tenants create SLUG` goes on from where it stopped."""


class TemplateError(TenantError):
    """The template from which tenant databases are cloned could not be made."""


class NeedsManualError(TenantError):
    """A person has to look at this tenant's database before its migration can go on."""


class InvalidIndexError(TenantError):
    """PostgreSQL left an index that it does not use."""


class UnknownMigrationsError(TenantError):
    """The tenant has migrations that this code does not know; deploy the code that has them, or see `tenants drift`."""


class InconsistentHistoryError(TenantError):
    """A migration is recorded as applied before one it depends on."""


class ServerWideError(TenantError):
    """This would change the whole server, not one database, so a preview does not run it."""


class RolloutRefusedError(TenantError):
    """The rollout was refused; no tenant was touched."""


class RolloutActiveError(RolloutRefusedError):
    """Another rollout is active; no tenant was touched."""


class UnknownRolloutError(RolloutRefusedError):
    """There is no such rollout; see `manage.py tenants history`."""


class MovedOnError(TenantError):
    """The tenant is not where this rollout left it, so it is not taken back."""
