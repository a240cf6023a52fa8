"""Who belongs to which tenant."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from tenants.models.tenant import Tenant


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class UserTenantAssociation(models.Model):
    """One person's place in one tenant."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="associations")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="associations")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "member"
        ordering = ("created_at",)
        constraints = (models.UniqueConstraint(fields=("user", "tenant"), name="one_association_per_user_and_tenant"),)

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.tenant}"
