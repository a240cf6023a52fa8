"""What happens to a tenant as a whole: it is made, edited, suspended, resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from tenants.databases.clone import close_connections, open_connections
from tenants.databases.provision import activate, alone_with, catch_up, provision
from tenants.databases.sessions import require_exists
from tenants.errors import InvalidTenantError, TenantExistsError, TransitionError
from tenants.models import Role, Server, Tenant, UserTenantAssociation
from tenants.routing.registry import directory

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from accounts.models import User
    from tenants.models.tenant import TenantState


def create_tenant(
    *,
    slug: str,
    name: str = "",
    owner: User | None = None,
    server: Server | None = None,
    labels: dict[str, str] | None = None,
) -> Tenant:
    """Make a tenant, its owner's association and its database; it is ready on return.

    Raises ``InvalidTenantError``, ``TenantExistsError``, and ``ProvisioningError`` after which the tenant stays in
    state ``provisioning``: ``resume_creation`` goes on.
    """
    tenant = Tenant(slug=slug, name=name or slug, labels=labels or {}, server=server or Server.for_new_tenant())
    try:
        tenant.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise InvalidTenantError(_in_words(error), errors=error.message_dict) from error
    try:
        with transaction.atomic(using="default"):
            tenant.save(using="default", force_insert=True)
            if owner is not None:
                UserTenantAssociation.objects.create(user=owner, tenant=tenant, role=Role.OWNER)
    except IntegrityError as error:
        if not Tenant.objects.filter(slug=slug).exists():
            raise
        raise TenantExistsError(repr(slug), tenant=slug) from error
    provision(tenant)
    return tenant


def resume_creation(slug: str) -> Tenant | None:
    """Go on with a tenant whose creation was cut off; None where no such tenant is being made."""
    tenant = Tenant.objects.select_related("server").filter(slug=slug, state=Tenant.State.PROVISIONING).first()
    if tenant is not None:
        provision(tenant)
    return tenant


def edit(tenant: Tenant, **changes: Any) -> None:
    """Change the ``name``, the ``slug`` or the ``labels``. The old slug names nobody from then on.

    Raises ``InvalidTenantError``, ``TenantExistsError``.
    """
    before = {field: getattr(tenant, field) for field in changes}
    slugs = [tenant.slug, changes.get("slug", tenant.slug)]
    for field, value in changes.items():
        setattr(tenant, field, value)
    try:
        tenant.clean_fields(exclude={field.name for field in Tenant._meta.fields} - set(changes))
        with transaction.atomic(using="default"):
            # Only these: its state or head may have moved since it was read.
            tenant.save(using="default", update_fields=[*changes, "updated_at"])
    except (ValidationError, IntegrityError) as error:
        for field, value in before.items():
            setattr(tenant, field, value)
        if isinstance(error, ValidationError):
            raise InvalidTenantError(_in_words(error), errors=error.message_dict) from error
        raise TenantExistsError(repr(slugs[1]), tenant=slugs[1]) from error
    # Main tells other processes; here nothing must be answered under the old slug even until then.
    told = {"id": tenant.id.hex, "slugs": slugs, "closes": False}
    transaction.on_commit(lambda: directory.hear(told), using="default")


def suspend(tenant: Tenant) -> None:
    """Stop serving a tenant: no new session, and those there are end.

    Raises ``TransitionError``, ``DatabaseMissingError``, ``TenantBusyError``.
    Harmless on one that is suspended: a suspension that was cut off between main and the server is completed.
    """
    require_exists(tenant)
    # The race: it is resumed between the two, and a tenant that is served would be closed.
    with alone_with(tenant) as cursor:
        tenant.refresh_from_db(fields=["state"])
        if tenant.state != Tenant.State.SUSPENDED:
            tenant.move_to(Tenant.State.SUSPENDED)
        close_connections(cursor, tenant.alias)
    directory.forget(tenant)


def resume(tenant: Tenant) -> None:
    """Serve a suspended tenant again, at the fleet's head; one that cannot be brought there stays closed.

    Raises ``TransitionError``, ``ProvisioningError``, ``DatabaseMissingError``, ``TenantBusyError``.
    """
    require_exists(tenant)
    with alone_with(tenant) as cursor:
        tenant.refresh_from_db(fields=["state"])
        if tenant.state != Tenant.State.SUSPENDED:
            raise TransitionError(f"{tenant.slug} is {tenant.state}, not suspended", tenant=tenant.slug)
        reopen(cursor, tenant, source=Tenant.State.SUSPENDED)
    directory.forget(tenant)


def reopen(cursor: Cursor, tenant: Tenant, *, source: TenantState, **changes: Any) -> None:
    """Open a database that was closed, bring it to the fleet's head and serve it; or close it again and raise."""
    open_connections(cursor, tenant.alias)
    try:
        applied, _ = catch_up(tenant)
        activate(tenant, applied, source=source, **changes)
    except BaseException:
        close_connections(cursor, tenant.alias)
        raise


def _in_words(error: ValidationError) -> str:
    return "; ".join(f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
