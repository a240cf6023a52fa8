"""A database from which tenants are cloned."""

from __future__ import annotations

from django.db import models

from tenants.models.server import Server


class Template(models.Model):
    """A template on one server, for one head. Immutable once ready, never renamed, never connected to again.

    The row is written before the database is made, so that a kill in between leaves nothing without a record.
    """

    class State(models.TextChoices):
        BUILDING = "building"  # or being dropped: nothing may be cloned from it
        READY = "ready"

    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="templates")
    name = models.CharField(max_length=63, unique=True, help_text="The database's name.")
    head_key = models.CharField(max_length=64, help_text="SHA-256 of the sorted applied migrations.")
    applied = models.JSONField(default=list, help_text="The applied migrations: a sorted list of [app, name].")
    footprint = models.TextField(
        blank=True, default="", help_text="What the rollout that made it noted in it; clones carry it too."
    )
    schema = models.JSONField(default=list, help_text="The schema's fingerprint, line by line, for finding drift.")
    state = models.CharField(max_length=16, choices=State.choices, default=State.BUILDING)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("server", "head_key"), condition=models.Q(state="ready"), name="one_ready_template_per_head"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def alias(self) -> str:
        """What it is reached by while it is made."""
        return self.name

    @property
    def slug(self) -> str:
        """What stands for it where a tenant's slug would."""
        return "template"
