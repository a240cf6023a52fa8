"""The ledger of rollouts: what was tried, on whom, and how it went. It reports; it never decides what is applied."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from tenants.models.tenant import Tenant


class RolloutState(models.TextChoices):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class AttemptState(models.TextChoices):
    MIGRATED = "migrated"
    UP_TO_DATE = "up_to_date"
    FAILED = "failed"
    SKIPPED = "skipped"


class Rollout(models.Model):
    """One run that brings a set of tenants to a target.

    ``running`` becomes ``succeeded``, ``failed`` or ``interrupted`` once, by the process that runs it; one whose
    process died is marked interrupted by the next, which then goes on.
    """

    State = RolloutState

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    target = models.CharField(max_length=300, help_text="App and migration, or 'latest'.")
    options = models.JSONField(default=dict, help_text="The selection and knobs it was started with.")
    process = models.CharField(max_length=200, help_text="Host and process that runs it.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(fields=("state",), condition=models.Q(state="running"), name="one_active_rollout"),
        )

    def __str__(self) -> str:
        return f"rollout {self.id} to {self.target}"


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
    finished_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.tenant or 'template'}: {self.state}"
