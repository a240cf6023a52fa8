"""Members in the admin."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin, TabularInline

from tenants.models import UserTenantAssociation


class MembersInline(TabularInline):
    """A tenant's members, on its page."""

    model = UserTenantAssociation
    autocomplete_fields = ("user",)
    fields = ("user", "role", "created_at")
    readonly_fields = ("created_at",)
    extra = 0
    tab = True


@admin.register(UserTenantAssociation)
class AssociationAdmin(ModelAdmin):
    """Who belongs to which tenant."""

    list_display = ("user", "tenant", "role", "created_at")
    list_filter = ("role",)
    search_fields = ("user__email", "tenant__slug")
    list_select_related = ("user", "tenant")
    autocomplete_fields = ("user", "tenant")
    readonly_fields = ("created_at",)
