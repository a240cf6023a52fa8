"""How much a tenant may keep."""

from __future__ import annotations

from django.db import models


class Allowance(models.Model):
    """What is said for this tenant in place of the installation's limits. One row, or none; null says nothing.

    ``manage.py tenants run SLUG -- file_limits`` shows and sets it.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    file_size_limit = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes; 0 for no limit.")
    quota = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes; 0 for no limit.")

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="one_allowance"),)

    def __str__(self) -> str:
        return f"{self.file_size_limit} a file, {self.quota} in all"
