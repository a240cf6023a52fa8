"""An invitation to a tenant, until it is accepted."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from accounts.models import LowerCaseEmailField
from tenants.models.association import Role
from tenants.models.tenant import Tenant


class Invitation(models.Model):
    """Somebody who may join a tenant by a link that was mailed to him. Accepted or taken back, the row is gone.

    The link is the id, signed; what is stored here lets nobody in.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="invitations")
    email = LowerCaseEmailField()
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at",)
        constraints = (models.UniqueConstraint(fields=("tenant", "email"), name="one_invitation_per_tenant_and_email"),)

    def __str__(self) -> str:
        return f"{self.email} may become {self.role} of {self.tenant}"
