"""A tenant's database, from nothing to served: steps that may be cut off anywhere and begun again.

Each step looks at what is there and makes what is missing, so the state ``provisioning`` needs no record of how far an
earlier try came: after a kill at any line the next try passes over what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction

from tenants.databases import bookkeeping, roles
from tenants.databases.clone import clone, open_connections
from tenants.databases.sessions import LOCK_WAIT, maintenance, owner_session, take_server_lock
from tenants.errors import ProvisioningError, TenantBusyError, TransitionError
from tenants.models import Installation, Template, Tenant
from tenants.models.tenant import CREDENTIALS, TenantState
from tenants.rollout import templates
from tenants.rollout.after_clone import run_again_after_clone
from tenants.rollout.footprint import FOOTPRINT, Footprint
from tenants.rollout.heads import head_of, key_of
from tenants.rollout.program import Programs
from tenants.rollout.target import exactly
from tenants.rollout.worker import bring, look

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

PROVISION_LOCK = 0x5112
"""One at a time makes a tenant, opens, closes or drops its database, or gives its role another password."""


@dataclass
class Work:
    """What the steps share: the tenant, the template it is cloned from, a session on the tenant's server, and, once the
    database could be asked, what it has applied.
    """

    tenant: Tenant
    template: Template
    installation: Installation
    cursor: Cursor
    applied: tuple[bookkeeping.MigrationKey, ...] = ()


def make_role(work: Work) -> None:
    """The role comes first: a database without its role could not be told from one that nobody may enter."""
    roles.ensure_group(work.cursor, work.installation.id)
    roles.ensure_runtime_role(work.cursor, work.tenant, work.installation.id)


def make_database(work: Work) -> None:
    clone(work.cursor, work.template.name, work.tenant.alias)


def open_to_owner(work: Work) -> None:
    """Only the owner may connect yet: PUBLIC has no right, the tenant's role none so far."""
    open_connections(work.cursor, work.tenant.alias)


def make_own(work: Work) -> None:
    """What differs from the template: whose it is, and the rows of migrations that say they differ per tenant.

    One transaction, so that those rows are made once, however often this step is begun again.
    """
    with owner_session(work.tenant) as connection, transaction.atomic(using=connection.alias):
        facts = bookkeeping.read(connection)
        work.applied = facts.applied
        if facts.tenant_id is None:
            run_again_after_clone(connection, facts.applied)
            with connection.cursor() as cursor:
                if footprint := Footprint.noted_in(facts):
                    bookkeeping.note(cursor, FOOTPRINT, footprint.in_clone().as_note())
                bookkeeping.stamp_identity(cursor, work.tenant.id)


def let_tenant_in(work: Work) -> None:
    roles.open_to_tenant(work.cursor, work.tenant)


STEPS: tuple[Callable[[Work], None], ...] = (make_role, make_database, open_to_owner, make_own, let_tenant_in)


@contextmanager
def alone_with(tenant: Tenant) -> Iterator[Cursor]:
    """A session on the tenant's server, the only one that does any of this to this tenant.

    What main says of the tenant is to be read under it. Raises ``TenantBusyError``.
    """
    with maintenance(tenant.server) as cursor:
        if not take_server_lock(cursor, PROVISION_LOCK, tenant.id, wait=LOCK_WAIT):
            raise TenantBusyError(f"another process is at {tenant.slug}", tenant=tenant.slug)
        yield cursor


def provision(tenant: Tenant) -> None:
    """Make the tenant's database and make the tenant active. Harmless where that is done.

    Raises ``ProvisioningError``, and notes why on the tenant; ``TransitionError`` for one that is not to be made.
    """
    if _is_made(tenant):
        return
    try:
        template = templates.current(tenant.server)
        with alone_with(tenant) as cursor:
            # Whoever had the lock may have made it; since then it may even have been suspended.
            if _is_made(tenant):
                return
            work = Work(tenant, template, Installation.current(), cursor)
            for step in STEPS:
                step(work)
            activate(tenant, work.applied, source=Tenant.State.PROVISIONING)
    except TransitionError:
        raise
    except Exception as error:
        failure = f"{type(error).__name__}: {error}".replace("\0", "\\0")
        Tenant.objects.filter(pk=tenant.pk).update(failure=failure)
        raise ProvisioningError(f"{tenant.slug}: {error}", tenant=tenant.slug) from error


def catch_up(tenant: Tenant) -> tuple[tuple[bookkeeping.MigrationKey, ...], str]:
    """Bring a tenant that is not served to the fleet's head; gives what it has applied, and the key of that head.

    (The two may differ: a squashed migration is recorded beside those it replaces.) Raises ``ProvisioningError``.
    """
    applied = look(tenant).applied
    goal = templates.current(tenant.server)
    if key_of(applied) == goal.head_key:
        return applied, goal.head_key
    outcome = bring(tenant, Programs(exactly(tuple((app, name) for app, name in goal.applied))))
    if outcome.failure is not None:
        raise ProvisioningError(outcome.failure.message, tenant=tenant.slug, migration=outcome.failure.migration)
    return outcome.applied, goal.head_key


def activate(
    tenant: Tenant, applied: tuple[bookkeeping.MigrationKey, ...], *, source: TenantState, **changes: Any
) -> None:
    """Serve a tenant of the state ``source``, which has ``applied``, at the fleet's head as it is at that moment.

    ``changes`` are of other fields, made with it.

    The race: a rollout moves the head after the clone was made. Whoever holds the installation's row goes first: if
    this does, the rollout's last look finds the tenant active and brings it along; if the rollout does, the tenant is
    brought to the new head here before it is served.
    """
    reached = key_of(applied)
    while True:
        with transaction.atomic(using="default"):
            fleet = Installation.objects.select_for_update().get()
            if fleet.head_key == reached:
                tenant.move_to(Tenant.State.ACTIVE, source=source, head=head_of(applied), failure="", **changes)
                return
        applied, reached = catch_up(tenant)


def _is_made(tenant: Tenant) -> bool:
    """Whether the tenant is active, read anew; raises ``TransitionError`` where it is not to be made."""
    tenant.refresh_from_db(fields=["state", *CREDENTIALS])
    if tenant.state not in {Tenant.State.ACTIVE, Tenant.State.PROVISIONING}:
        raise TransitionError(f"{tenant.slug} is {tenant.state}", tenant=tenant.slug)
    return tenant.state == Tenant.State.ACTIVE
