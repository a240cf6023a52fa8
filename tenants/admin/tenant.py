"""Tenants in the admin: make one, see how it stands, migrate, suspend, resume."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from tenants.admin.association import MembersInline
from tenants.errors import ProvisioningError, TenantError
from tenants.lifecycle import resume, suspend
from tenants.models import Server, Tenant
from tenants.rollout import detached
from tenants.rollout.heads import is_behind


class TenantForm(forms.ModelForm):
    """A new tenant needs a slug only; its server is found where none is chosen."""

    class Meta:
        model = Tenant
        fields = ("slug", "name", "server", "labels")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "server" in self.fields:
            self.fields["server"].required = False
            self.fields["server"].help_text = "Blank: the one with most room."
        self.fields["labels"].widget.attrs["rows"] = 3

    def clean_labels(self) -> dict[str, str]:
        labels = self.cleaned_data["labels"] or {}
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise forms.ValidationError('Enter keys and texts, such as {"plan": "pro"}.')
        return labels

    def clean_server(self) -> Any:
        try:
            return self.cleaned_data["server"] or Server.for_new_tenant()
        except ProvisioningError as error:
            raise forms.ValidationError(str(error)) from error


class BehindFilter(admin.SimpleListFilter):
    """Tenants that lack a migration of this code, or none. Asks of each head, of which there are few."""

    title = "behind"
    parameter_name = "behind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [("yes", "behind"), ("no", "up to date")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> QuerySet[Tenant]:
        if self.value() not in {"yes", "no"}:
            return queryset
        heads = Tenant.objects.order_by().values_list("head", flat=True).distinct()
        wanted = Q(pk__in=[])
        for head in heads:
            if is_behind(Tenant(head=head)) == (self.value() == "yes"):
                wanted |= Q(head=head)
        return queryset.filter(wanted)


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    """Customers and their databases. Deleting one is not a click's work; it is disabled here."""

    form = TenantForm
    list_display = ("slug", "name", "server", "shown_state", "shown_head", "standing", "created_at")
    list_filter = ("state", BehindFilter, "server")
    search_fields = ("slug", "name", "id")
    list_select_related = ("server",)
    actions = ("migrate_selected", "suspend_selected", "resume_selected", "go_on_selected")
    inlines = (MembersInline,)
    about = ("id", "alias", "state", "delete_at", "failure", "shown_head", "standing", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("slug", "name", "server", "labels")}),
        ("Database", {"fields": about}),
    )
    add_fieldsets = ((None, {"fields": ("slug", "name", "server", "labels")}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> tuple[str, ...]:
        # To another server a tenant is moved, not edited.
        return (*self.about, "server") if obj else self.about

    def has_delete_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        if change:
            # Only what was edited: state and head may have moved since the page was opened.
            obj.save(update_fields=[*form.changed_data, "updated_at"])
            return
        obj.name = obj.name or obj.slug
        obj.save()
        # The admin saves in one transaction, members included. A database must not be made before its row is there
        # for good, or a failure would leave a database that nobody knows.
        transaction.on_commit(partial(self._make_databases, request, [obj]), using="default")

    @display(
        description="State",
        ordering="state",
        label={
            Tenant.State.PROVISIONING: "warning",
            Tenant.State.ACTIVE: "success",
            Tenant.State.SUSPENDED: "danger",
            Tenant.State.DELETING: "danger",
        },
    )
    def shown_state(self, tenant: Tenant) -> str:
        return tenant.state

    @display(description="Head")
    def shown_head(self, tenant: Tenant) -> str:
        return ", ".join(f"{app}.{name}" for app, name in tenant.head.items()) or "none"

    @display(description="Schema", label={"behind": "warning", "up to date": "success"})
    def standing(self, tenant: Tenant) -> str:
        return "behind" if is_behind(tenant) else "up to date"

    @action(description="Migrate the selected to the code's head", permissions=["change"])
    def migrate_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> None:
        only_these = [f"--tenant={slug}" for slug in queryset.values_list("slug", flat=True)]
        try:
            rollout = detached.start(
                [*only_these, "--on-error=continue"],
                by=request.user.email,  # type: ignore[union-attr]  # staff, so not anonymous
            )
        except TenantError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            where = reverse("admin:tenants_rollout_change", args=[rollout.pk])
            self.message_user(request, format_html('<a href="{}">The {}</a> has begun.', where, rollout))

    @action(description="Suspend the selected", permissions=["change"])
    def suspend_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> None:
        self._with_each(request, queryset, suspend, "suspended")

    @action(description="Resume the selected", permissions=["change"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> None:
        self._with_each(request, queryset, resume, "resumed")

    @action(description="Go on making the databases of the selected", permissions=["change"])
    def go_on_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> None:
        self._make_databases(request, queryset.filter(state=Tenant.State.PROVISIONING))

    def _make_databases(self, request: HttpRequest, tenants: Iterable[Tenant]) -> None:
        hint = "Mend that, select it in the list and choose “Go on making the databases”."
        self._with_each(request, tenants, Tenant.create_database, "ready, with its database", hint)

    def _with_each(
        self,
        request: HttpRequest,
        tenants: Iterable[Tenant],
        change: Callable[[Tenant], None],
        outcome: str,
        hint: str = "",
    ) -> None:
        """Do something to each tenant, whatever becomes of the others, and say of each how it went."""
        for tenant in tenants:
            try:
                change(tenant)
            except (TenantError, OperationalError) as error:
                self.message_user(request, f"{tenant.slug}: {error} {hint}".strip(), messages.ERROR)
            else:
                self.log_change(request, tenant, outcome)
                self.message_user(request, f"{tenant.slug} is {outcome}.", messages.SUCCESS)
