"""Members in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from unfold.admin import TabularInline

from tenants.admin.read_only import ReadOnlyAdmin
from tenants.errors import LastOwnerError
from tenants.members import require_owner
from tenants.models import UserTenantAssociation


class MembersFormSet(BaseInlineFormSet):
    """Members as they are to be. The admin saves them in the transaction in which this looks at them."""

    def clean(self) -> None:
        super().clean()
        if self.instance.pk is None or any(self.errors):
            return
        staying = [form for form in self.forms if form not in self.deleted_forms]
        edited = {form.instance.pk for form in self.forms}
        others = self.instance.associations.exclude(pk__in=edited).values_list("role", flat=True)
        roles = {form.cleaned_data["role"] for form in staying if form.cleaned_data} | set(others)
        try:
            require_owner(self.instance, among=roles)
        except LastOwnerError as error:
            raise ValidationError(str(error)) from error


class MembersInline(TabularInline):
    """A tenant's members, on its page."""

    model = UserTenantAssociation
    formset = MembersFormSet
    autocomplete_fields = ("user",)
    fields = ("user", "role", "created_at")
    readonly_fields = ("created_at",)
    extra = 0
    tab = True


@admin.register(UserTenantAssociation)
class AssociationAdmin(ReadOnlyAdmin):
    """Who belongs to which tenant. They are edited on the tenant's page, which knows them all and keeps an owner."""

    list_display = ("user", "tenant", "role", "created_at")
    list_filter = ("role",)
    search_fields = ("user__email", "tenant__slug")
    list_select_related = ("user", "tenant")
