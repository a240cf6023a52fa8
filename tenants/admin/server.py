"""Servers in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from tenants.models import Server


@admin.register(Server)
class ServerAdmin(ModelAdmin):
    """Where tenant databases live, and how full each is."""

    list_display = ("name", "address", "region", "shown_state", "used", "capacity", "created_at")
    list_filter = ("state", "region")
    search_fields = ("name", "host", "region")
    readonly_fields = ("created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Server]:
        servers: QuerySet[Server] = super().get_queryset(request)
        return servers.annotate(used=Count("tenants"))

    @display(description="Address", ordering="host")
    def address(self, server: Server) -> str:
        host = server.host or "the main database's server"
        return f"{host}:{server.port}" if server.port else host

    @display(
        description="State",
        ordering="state",
        label={Server.State.ACTIVE: "success", Server.State.FULL: "warning", Server.State.OFFLINE: "danger"},
    )
    def shown_state(self, server: Server) -> str:
        return server.state

    @display(description="Tenants", ordering="used")
    def used(self, server: Server) -> int:
        count: int = server.used  # type: ignore[attr-defined]  # annotated above
        return count
