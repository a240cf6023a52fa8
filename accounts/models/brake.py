"""How often something was tried in vain, and until when it may not be tried again."""

from __future__ import annotations

from django.db import models


class Brake(models.Model):
    """One counter of ``accounts.brakes``. In main, so that all processes count together."""

    key = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of what is counted, and of whom.")
    failures = models.PositiveIntegerField(default=0)
    tried_at = models.DateTimeField()
    free_at = models.DateTimeField(help_text="Until then it is refused.")
    forget_at = models.DateTimeField(db_index=True, help_text="From then on the row may go.")

    def __str__(self) -> str:
        return f"{self.failures} failures, free at {self.free_at}"
