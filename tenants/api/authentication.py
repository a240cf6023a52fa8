"""Whose a request is, as far as tenants are concerned: a token may be bound to one of them."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.api.authentication import TokenAuthentication
from accounts.models import Token
from tenants.api import token_lookup
from tenants.models import Tenant
from tenants.permissions import IsTenantMember


class TokenBound(AuthenticationFailed):
    """This token is bound to one tenant; it opens that tenant's addresses and no others."""

    default_code = "token_bound"
    default_detail = "This token is bound to one tenant; it opens that tenant's addresses and no others."


class TenantTokenAuthentication(TokenAuthentication):
    """Refuses a token that is bound to a tenant, wherever another one answers or none does.

    With the token comes its user's place in the request's tenant, so ``IsTenantMember`` need not ask.
    """

    tenant: Tenant | None = None

    def authenticate(self, request: Request) -> Any:
        self.tenant = getattr(request, "tenant", None)
        found = super().authenticate(request)
        if found is not None and not _is_good_for(found[1], request):
            raise TokenBound
        return found

    def find(self, digest: str) -> Token | None:
        return super().find(digest) if self.tenant is None else token_lookup.find(digest, self.tenant.pk)


def _is_good_for(token: Token, request: Request) -> bool:
    if token.tenant_id is None:
        return True
    tenant = getattr(request, "tenant", None)
    return tenant is not None and tenant.pk == token.tenant_id and _is_a_tenants(request.parser_context.get("view"))


def _is_a_tenants(view: Any) -> bool:
    """Whether a view shows one tenant: not so a user's own, of which the header may name a tenant as well.

    Else a bound token could list a user's other tenants, or revoke his other tokens.
    """
    return view is not None and any(isinstance(permission, IsTenantMember) for permission in view.get_permissions())
