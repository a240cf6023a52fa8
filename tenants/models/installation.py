"""This installation of Silo, and where its fleet stands."""

from __future__ import annotations

import uuid

from django.db import IntegrityError, models, transaction


class Installation(models.Model):
    """The one row that tells this installation from another on the same server, and points at the fleet's head.

    ``head_key`` names the set of applied migrations that a new tenant must have: the current template's. It moves when
    a full rollout has succeeded, and is blank until the first template is made.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    only = models.BooleanField(default=True, unique=True, editable=False)
    head_key = models.CharField(max_length=64, blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(only=True), name="one_installation"),)

    def __str__(self) -> str:
        return f"installation {self.id.hex[:8]}"

    @classmethod
    def current(cls) -> Installation:
        """The row, read anew, and made the first time. Two who make it at once end with the same one."""
        found = cls.objects.first()
        if found is None:
            try:
                with transaction.atomic(using="default"):
                    found = cls.objects.create()
            except IntegrityError:
                found = cls.objects.get()
        return found

    @classmethod
    def move_head(cls, head_key: str) -> None:
        """Point new tenants at another template."""
        cls.objects.filter(pk=cls.current().pk).update(head_key=head_key)
