"""Makes the tenant that a request names current while the request is answered.

============================================  ============================================
what the request names                        outcome
============================================  ============================================
no tenant                                     no tenant is current
one tenant, active                            it is current; ``request.tenant`` is it; a streaming
                                              response's body is made under it (routing.streaming)
one tenant, not active                        ``request.tenant`` is it, none is current: whoever may
                                              know it is told 503, others 404 (tenants.permissions)
a tenant that does not exist, by host/header  404
a tenant that does not exist, by path         none is current; the view answers 404 after it has
                                              asked who is there
two different tenants                         404
============================================  ============================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import Http404, JsonResponse

from tenants.context import use_main, use_tenant
from tenants.errors import TenantUnavailableError, UnknownTenantError
from tenants.routing.registry import directory
from tenants.routing.resolvers import RESOLVERS, from_path
from tenants.routing.streaming import bind_body

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

    from tenants.models import Tenant


class TenantMiddleware:
    """``request.tenant``, and the current tenant of the request."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        directory.remember_lookups()
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._answer_async(request)
        # The stubs know no attribute of ours on a request, here and below.
        tenant = request.tenant = tenant_of(request)  # type: ignore[attr-defined]
        if not _is_served(tenant):
            # Said, and not left as it is: should a tenant ever stay current in a thread, no request inherits it.
            with use_main():
                return self.get_response(request)
        with use_tenant(tenant):
            response = self.get_response(request)
        bind_body(response, tenant)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        tenant = request.tenant = await sync_to_async(tenant_of)(request)  # type: ignore[attr-defined]
        if not _is_served(tenant):
            with use_main():
                return await self.get_response(request)
        # Not the plain `with`: the connection is given back by the thread that has it.
        async with use_tenant(tenant):
            response = await self.get_response(request)
        bind_body(response, tenant)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """A view outside the API that finds the tenant unavailable answers 503 and when to come back."""
        if isinstance(exception, TenantUnavailableError):
            return JsonResponse(
                {"detail": str(exception)}, status=503, headers={"Retry-After": str(exception.retry_after_s)}
            )
        return None


def tenant_of(request: HttpRequest) -> Tenant | None:
    """The tenant that a request names; None where it names none. Raises ``Http404`` as the table above says."""
    named = {resolver: slug for resolver in RESOLVERS if (slug := resolver(request)) is not None}
    if len(set(named.values())) > 1:
        raise Http404("The request names two tenants.")
    for resolver, slug in named.items():
        try:
            return directory.find(slug)
        except UnknownTenantError:
            if resolver is not from_path:
                raise Http404("There is no such tenant.") from None
    return None


def _is_served(tenant: Tenant | None) -> TypeGuard[Tenant]:
    return tenant is not None and tenant.state == tenant.State.ACTIVE
