"""The ledger of rollouts: what was tried, on whom, and how it went. It reports; it never decides what is applied."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from tenants.errors import TransitionError
from tenants.models.tenant import Tenant
from tenants.models.transition import Transition


class RolloutState(models.TextChoices):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


TRANSITIONS = (
    Transition(RolloutState.RUNNING, RolloutState.SUCCEEDED, "its process", "every tenant in service is at the target"),
    Transition(RolloutState.RUNNING, RolloutState.FAILED, "its process", "a tenant failed, or the template"),
    Transition(RolloutState.RUNNING, RolloutState.INTERRUPTED, "its process", "it was stopped before its last tenant"),
    Transition(RolloutState.RUNNING, RolloutState.INTERRUPTED, "the next rollout", "its process is found dead"),
)
"""Every change of a rollout's state. One that is not here raises ``TransitionError``."""


class Wish(models.TextChoices):
    """What staff want of a running rollout. Its process looks every second."""

    GO = "go", "go: begin tenant after tenant"
    PAUSE = "pause", "pause: begin no tenant until it is to go on"
    ABORT = "abort", "abort: begin no more tenants, and end"


ORDERS = {Wish.GO: "continue", Wish.PAUSE: "pause", Wish.ABORT: "abort"}
"""What people say for each, in commands and URLs."""


WISHES = (
    Transition(Wish.GO, Wish.PAUSE, "staff", "something is to be looked at first"),
    Transition(Wish.PAUSE, Wish.GO, "staff", "it was looked at"),
    Transition(Wish.GO, Wish.ABORT, "staff", "it is not to go on"),
    Transition(Wish.PAUSE, Wish.ABORT, "staff", "it was looked at, and is not to go on"),
)
"""Every change of what is wanted, while the rollout is running. One that is not here raises ``TransitionError``."""


class AttemptState(models.TextChoices):
    MIGRATED = "migrated"
    UP_TO_DATE = "up_to_date"
    FAILED = "failed"
    SKIPPED = "skipped"


class Rollout(models.Model):
    """One run that brings a set of tenants to a target.

    ``running`` becomes ``succeeded``, ``failed`` or ``interrupted`` once, by the process that runs it; one whose
    process died is marked interrupted by the next, which then goes on. The counts are of tenants, as its process has
    written them down so far; those of a list of rollouts need not be counted from thousands of attempts.
    """

    State = RolloutState

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    target = models.CharField(max_length=300, help_text="App and migration, or 'latest'.")
    options = models.JSONField(default=dict, help_text="The selection and knobs it was started with.")
    process = models.CharField(max_length=200, help_text="Host and process that runs it.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    os_user = models.CharField(max_length=200, blank=True, help_text="The operating system's user that runs it.")
    code_version = models.CharField(max_length=200, blank=True, help_text="Commit of the code that runs it.")
    plan_hash = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of the heads it met, and of what each lacked; known at its end."
    )
    fleet_before = models.CharField(max_length=64, blank=True, help_text="Key of the fleet's head when it began.")
    fleet_after = models.CharField(max_length=64, blank=True, help_text="The same, once it has succeeded.")
    total = models.PositiveIntegerField(default=0, help_text="Tenants that are to be at the target.")
    migrated = models.PositiveIntegerField(default=0)
    up_to_date = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    wanted = models.CharField(max_length=16, choices=Wish.choices, default=Wish.GO)
    wanted_by = models.CharField(max_length=254, blank=True, help_text="Who said so last.")
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(fields=("state",), condition=models.Q(state="running"), name="one_active_rollout"),
        )

    def __str__(self) -> str:
        return f"rollout {self.id} to {self.target}"

    @property
    def who(self) -> str:
        """Who started it: a user of Silo, or else one of the operating system."""
        return self.started_by.email if self.started_by is not None else self.os_user

    @property
    def pending(self) -> int:
        """How many tenants have no outcome yet, or got none."""
        return max(0, self.total - self.migrated - self.up_to_date - self.failed - self.skipped)

    @property
    def seconds(self) -> float | None:
        """How long it ran; None while it does."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None

    def move_to(self, target: RolloutState, **changes: Any) -> None:
        """End it, as ``TRANSITIONS`` allows. A conditional UPDATE: who comes late gets ``TransitionError``."""
        sources = [one.source for one in TRANSITIONS if one.target == target]
        found = Rollout.objects.using("default").filter(pk=self.pk, state__in=sources)
        if not found.update(state=target, finished_at=timezone.now(), **changes):
            self._refuse(f"cannot become {target}")
        self.refresh_from_db()

    def want(self, wish: Wish, *, by: str) -> None:
        """Say what is wanted of it, as ``WISHES`` allows. A conditional UPDATE, as above."""
        sources = [one.source for one in WISHES if one.target == wish]
        found = Rollout.objects.using("default").filter(pk=self.pk, state=RolloutState.RUNNING, wanted__in=sources)
        if not found.update(wanted=wish, wanted_by=by):
            self._refuse(f"cannot be told to {ORDERS[wish]}")
        self.refresh_from_db()

    def _refuse(self, what: str) -> None:
        found = Rollout.objects.using("default").filter(pk=self.pk).values_list("state", "wanted", "wanted_by").first()
        state, wanted, by = found or ("gone", Wish.GO, "")
        told = f", told to {ORDERS[Wish(wanted)]} by {by}" if state == RolloutState.RUNNING and by else ""
        raise TransitionError(f"{self} is {state}{told}, and {what}", rollout=str(self.pk))


class RolloutAttempt(models.Model):
    """What became of one tenant in one rollout. A null tenant is the template, or a tenant that has since gone."""

    State = AttemptState

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="attempts")
    tenant = models.ForeignKey(Tenant, null=True, on_delete=models.SET_NULL, related_name="rollout_attempts")
    state = models.CharField(max_length=16, choices=State.choices)
    migration = models.CharField(max_length=300, blank=True, help_text="The one that failed, as app.name.")
    sqlstate = models.CharField(max_length=5, blank=True)
    error = models.CharField(max_length=200, blank=True, help_text="The exception's class.")
    message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=1)
    seconds = models.FloatField(default=0)
    applied = models.JSONField(default=list, help_text="What it applied or took away, as app.name.")
    head_before = models.JSONField(default=dict, help_text="Where the tenant stood; blank if it could not be asked.")
    head_after = models.JSONField(default=dict, help_text="Where it stands since; blank where it failed.")
    finished_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.tenant or 'template'}: {self.state}"
