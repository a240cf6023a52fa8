"""A tenant, and the states it passes through."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from tenants import naming
from tenants.errors import TenantUnavailableError, TransitionError
from tenants.keys import present_key_id
from tenants.models.server import Server
from tenants.models.transition import Transition


class TenantState(models.TextChoices):
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETING = "deleting"


TRANSITIONS = (
    Transition(TenantState.PROVISIONING, TenantState.ACTIVE, "provisioning", "its database is ready"),
    Transition(TenantState.PROVISIONING, TenantState.DELETING, "staff", "it is given up before it was ready"),
    Transition(TenantState.ACTIVE, TenantState.SUSPENDED, "staff", "it must not be served for a while"),
    Transition(TenantState.SUSPENDED, TenantState.ACTIVE, "staff", "it is served again, at the fleet's head"),
    Transition(TenantState.ACTIVE, TenantState.DELETING, "owner or staff", "it leaves"),
    Transition(TenantState.SUSPENDED, TenantState.DELETING, "staff", "it leaves"),
    Transition(TenantState.DELETING, TenantState.ACTIVE, "owner or staff", "it stays, as long as its grace lasts"),
    Transition(TenantState.DELETING, TenantState.SUSPENDED, "owner or staff", "the same; it was suspended before"),
    Transition(TenantState.DELETING, TenantState.PROVISIONING, "staff", "the same; it was not ready before"),
)
"""Every change of state there is. One that is not here raises ``TransitionError``."""


CREDENTIALS = ("credentials_generation", "credentials_key", "credentials_pending_key")
DELETION = ("delete_at", "returns_to")

KEPT_BY_SILO = frozenset({"state", "failure", "head", *CREDENTIALS, *DELETION})
"""Fields that only conditional UPDATEs write, never an instance that was read earlier."""


class Tenant(models.Model):
    """A customer with a PostgreSQL database of its own.

    ``id`` never changes and names the database; ``slug`` is for people and URLs and may change. ``head`` is what the
    tenant's database said when it was last looked at: a cache for lists and requests, never asked what to migrate.
    """

    State = TenantState

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.CharField(
        max_length=naming.SLUG_MAX_LENGTH,
        unique=True,
        validators=[
            RegexValidator(
                naming.SLUG_REGEX,
                "Use lower-case letters, digits and hyphens; begin and end with a letter or digit.",
            )
        ],
        help_text="For people and URLs: lower-case letters, digits and hyphens.",
    )
    name = models.CharField(max_length=200, blank=True)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="tenants")
    state = models.CharField(max_length=16, choices=State.choices, default=State.PROVISIONING, editable=False)
    failure = models.TextField(blank=True, editable=False, help_text="Why the last provisioning stopped.")
    labels = models.JSONField(default=dict, blank=True, help_text='Key and value pairs for selection: {"plan": "pro"}.')
    head = models.JSONField(default=dict, editable=False, help_text="The last applied migration of each tenant app.")
    credentials_generation = models.PositiveIntegerField(default=1, editable=False)
    credentials_key = models.CharField(
        max_length=16, default=present_key_id, editable=False, help_text="Id of the key its password was made under."
    )
    credentials_pending_key = models.CharField(
        max_length=16, blank=True, default="", editable=False, help_text="That of the next, while it is rotated."
    )
    delete_at = models.DateTimeField(
        null=True, editable=False, help_text="While it is deleting: from when on its database may be dropped."
    )
    returns_to = models.CharField(
        max_length=16, blank=True, editable=False, help_text="While it is deleting: its state if that is taken back."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("slug",)
        constraints = (
            models.CheckConstraint(condition=models.Q(slug__regex=naming.SLUG_REGEX), name="tenant_slug_is_a_slug"),
        )

    def __str__(self) -> str:
        return self.slug

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A tenant that names no server goes where there is most room.

        An existing row's state, head and the like are left as they are in the database unless ``update_fields`` names
        them: an instance read a while ago would take a suspended tenant back into service.
        """
        if cast("int | None", self.server_id) is None:
            self.server = Server.for_new_tenant()
        if not self._state.adding and kwargs.get("update_fields") is None:
            names = {field.name for field in self._meta.concrete_fields if not field.primary_key}
            kwargs["update_fields"] = names - KEPT_BY_SILO
        super().save(*args, **kwargs)

    @property
    def alias(self) -> str:
        """The name of its connection, its database and its role."""
        return naming.alias_of(self.id)

    def create_database(self) -> None:
        """Make this tenant's database, or go on from where an earlier try stopped. Harmless when it is ready.

        Raises ``ProvisioningError``; calling again goes on.
        """
        # A saved row's way to its database is part of the published interface; see the ignore in the import contract.
        from tenants.databases.provision import provision

        provision(self)

    def require_active(self) -> None:
        """Raise ``TenantUnavailableError`` unless the tenant may be served."""
        if self.state != TenantState.ACTIVE:
            raise TenantUnavailableError(f"{self.slug} is {self.state}", tenant=self.slug, state=self.state)

    def move_to(self, target: TenantState, *, source: TenantState | None = None, **changes: Any) -> None:
        """Change the state, and ``changes`` with it, as ``TRANSITIONS`` allows; only from ``source`` where it is given.

        A conditional UPDATE: of two who try at once one wins, the other gets ``TransitionError``.
        """
        sources = [one.source for one in TRANSITIONS if one.target == target and source in {None, one.source}]
        now = timezone.now()
        moved = (
            Tenant.objects.using("default")
            .filter(pk=self.pk, state__in=sources)
            .update(state=target, updated_at=now, **changes)
        )
        if not moved:
            state = Tenant.objects.using("default").filter(pk=self.pk).values_list("state", flat=True).first()
            raise TransitionError(f"{self.slug} is {state or 'gone'}, and cannot become {target}", tenant=self.slug)
        self.state, self.updated_at = target, now
        for field, value in changes.items():
            setattr(self, field, value)
