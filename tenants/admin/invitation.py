"""Invitations in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from tenants.models import Invitation


@admin.register(Invitation)
class InvitationAdmin(ModelAdmin):
    """Who may join which tenant. They are made by members, and may be deleted here."""

    list_display = ("email", "tenant", "role", "invited_by", "expires_at")
    list_filter = ("role",)
    search_fields = ("email", "tenant__slug")
    list_select_related = ("tenant", "invited_by")
    fields = readonly_fields = ("email", "tenant", "role", "invited_by", "created_at", "expires_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False
