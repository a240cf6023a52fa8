"""Rollouts in the admin, to read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from tenants.models import Rollout, RolloutAttempt


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only rollouts write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Rollout)
class RolloutAdmin(ReadOnlyAdmin):
    """What was rolled out, and how it went."""

    list_display = ("started_at", "target", "shown_state", "attempted", "failed", "started_by", "finished_at")
    list_filter = ("state",)
    search_fields = ("id", "target")
    list_select_related = ("started_by",)
    date_hierarchy = "started_at"
    fields = ("id", "target", "state", "attempts_link", "options", "process", "started_by", "started_at", "finished_at")
    readonly_fields = ("id", "started_at", "attempts_link")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rollout]:
        rollouts: QuerySet[Rollout] = super().get_queryset(request)
        failed = Q(attempts__state=RolloutAttempt.State.FAILED)
        return rollouts.annotate(attempted=Count("attempts"), failed=Count("attempts", filter=failed))

    @display(
        description="State",
        ordering="state",
        label={
            Rollout.State.RUNNING: "info",
            Rollout.State.SUCCEEDED: "success",
            Rollout.State.FAILED: "danger",
            Rollout.State.INTERRUPTED: "warning",
        },
    )
    def shown_state(self, rollout: Rollout) -> str:
        return rollout.state

    @display(description="Tenants", ordering="attempted")
    def attempted(self, rollout: Rollout) -> int:
        count: int = rollout.attempted  # type: ignore[attr-defined]  # annotated above
        return count

    @display(description="Failed", ordering="failed")
    def failed(self, rollout: Rollout) -> int:
        count: int = rollout.failed  # type: ignore[attr-defined]  # annotated above
        return count

    @display(description="Attempts")
    def attempts_link(self, rollout: Rollout) -> str:
        # A list of its own, in pages: a rollout may have thousands.
        url = reverse("admin:tenants_rolloutattempt_changelist", query={"rollout__id__exact": str(rollout.pk)})
        return format_html('<a class="text-primary-600" href="{}">One for each tenant</a>', url)


@admin.register(RolloutAttempt)
class RolloutAttemptAdmin(ReadOnlyAdmin):
    """What became of one tenant in one rollout."""

    list_display = ("shown_tenant", "shown_state", "migration", "error", "seconds", "attempts", "finished_at")
    list_filter = ("state", "error")
    search_fields = ("tenant__slug", "migration", "message")
    list_select_related = ("tenant",)
    exclude = ("traceback",)
    readonly_fields = ("shown_traceback",)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "rollout__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="Tenant", ordering="tenant__slug")
    def shown_tenant(self, attempt: RolloutAttempt) -> str:
        return str(attempt.tenant or "the template")

    @display(
        description="State",
        ordering="state",
        label={
            RolloutAttempt.State.MIGRATED: "success",
            RolloutAttempt.State.UP_TO_DATE: "info",
            RolloutAttempt.State.FAILED: "danger",
            RolloutAttempt.State.SKIPPED: "warning",
        },
    )
    def shown_state(self, attempt: RolloutAttempt) -> str:
        return attempt.state

    @display(description="Traceback")
    def shown_traceback(self, attempt: RolloutAttempt) -> str:
        return format_html('<pre class="overflow-x-auto text-xs">{}</pre>', attempt.traceback or "-")
