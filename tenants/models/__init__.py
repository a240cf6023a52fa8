"""The main database's record of tenants: who they are, where they live, who belongs to them, what was rolled out."""

from tenants.models.association import Role, UserTenantAssociation
from tenants.models.installation import Installation
from tenants.models.invitation import Invitation
from tenants.models.kept_reply import KeptReply
from tenants.models.rollout import Rollout, RolloutAttempt
from tenants.models.server import Server
from tenants.models.template import Template
from tenants.models.tenant import Tenant

__all__ = [
    "Installation",
    "Invitation",
    "KeptReply",
    "Role",
    "Rollout",
    "RolloutAttempt",
    "Server",
    "Template",
    "Tenant",
    "UserTenantAssociation",
]
