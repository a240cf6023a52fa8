"""Rollouts in the admin: to read, to pause, to go on with and to abort."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from tenants.admin.read_only import ReadOnlyAdmin
from tenants.errors import TransitionError
from tenants.models import Rollout, RolloutAttempt
from tenants.rollout.control import abort, go_on, pause


@admin.register(Rollout)
class RolloutAdmin(ReadOnlyAdmin):
    """What was rolled out, and how it went."""

    list_display = (
        "started_at",
        "short_id",
        "target",
        "shown_state",
        "shown_wish",
        "total",
        "failed",
        "pending",
        "who",
        "finished_at",
    )
    actions = ("pause_selected", "continue_selected", "abort_selected")
    list_filter = ("state",)
    search_fields = ("id", "target")
    list_select_related = ("started_by",)
    date_hierarchy = "started_at"
    fields = (
        *(
            "id",
            "target",
            "state",
            "wanted",
            "wanted_by",
            "total",
            "migrated",
            "up_to_date",
            "failed",
            "skipped",
            "attempts_link",
            "options",
            "started_by",
            "os_user",
            "process",
        ),
        *("code_version", "plan_hash", "started_at", "finished_at"),
    )
    readonly_fields = ("id", "started_at", "attempts_link")

    @admin.display(description="id", ordering="id")
    def short_id(self, rollout: Rollout) -> str:
        """As `tenants history` shows it, and `tenants rollback` takes it."""
        return str(rollout.pk)[:8]

    def has_control_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tenants.change_rollout")

    @action(description="Pause the selected", permissions=["control"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Rollout]) -> None:
        self._tell(request, queryset, pause, "paused; tenants in hand are brought to their target")

    @action(description="Go on with the selected", permissions=["control"])
    def continue_selected(self, request: HttpRequest, queryset: QuerySet[Rollout]) -> None:
        self._tell(request, queryset, go_on, "told to go on")

    @action(description="Abort the selected", permissions=["control"])
    def abort_selected(self, request: HttpRequest, queryset: QuerySet[Rollout]) -> None:
        self._tell(request, queryset, abort, "aborted; tenants in hand are brought to their target")

    def _tell(self, request: HttpRequest, rollouts: QuerySet[Rollout], tell: Callable[..., None], outcome: str) -> None:
        for rollout in rollouts:
            try:
                tell(rollout, by=request.user.email)  # type: ignore[union-attr]  # staff, so not anonymous
            except TransitionError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.log_change(request, rollout, outcome)
                self.message_user(request, f"The {rollout} is {outcome}.", messages.SUCCESS)

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

    @display(description="Wanted", ordering="wanted")
    def shown_wish(self, rollout: Rollout) -> str:
        return rollout.wanted if rollout.state == Rollout.State.RUNNING else ""

    @display(description="Pending")
    def pending(self, rollout: Rollout) -> int:
        return rollout.pending

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
