"""Who may do what in a tenant. To whoever does not belong to it, a tenant does not exist.

==========================================  =================================
who asks                                    answer
==========================================  =================================
nobody (no token)                           401, whatever the slug
somebody; no such tenant, or not theirs     404, so that slugs tell nothing
a member; the tenant is not active          503 and when to come back
a member; the tenant is behind the code     503, where ``TENANT_BEHIND_POLICY`` is ``refuse``
a member whose role does not allow it       403
==========================================  =================================
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import Http404
from rest_framework.permissions import SAFE_METHODS, BasePermission

from tenants.context import use_main
from tenants.errors import TenantBehindError
from tenants.models import Role, Tenant, UserTenantAssociation
from tenants.rollout.heads import is_behind

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request
    from rest_framework.views import APIView

PLACE = "place"
"""The attribute of a request's token that says what its user is in the request's tenant; None where he is nothing."""


class Deed(StrEnum):
    READ = "read"
    WRITE = "write files and documents"
    MANAGE_MEMBERS = "manage members"
    MANAGE_OWNERS = "make somebody an owner, or an owner something else"
    MANAGE_TENANT = "rename, label or delete the tenant, and take that back"
    LEAVE = "leave the tenant"


ALLOWED: dict[Deed, frozenset[Role]] = {
    Deed.READ: frozenset({Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER}),
    Deed.WRITE: frozenset({Role.OWNER, Role.ADMIN, Role.MEMBER}),
    Deed.MANAGE_MEMBERS: frozenset({Role.OWNER, Role.ADMIN}),
    Deed.MANAGE_OWNERS: frozenset({Role.OWNER}),
    Deed.MANAGE_TENANT: frozenset({Role.OWNER}),
    Deed.LEAVE: frozenset({Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER}),
}
"""Which roles may do what. What is not here is allowed to nobody. ``docs/roles.md`` is the same for people."""


def may(role: str, deed: Deed) -> bool:
    return role in ALLOWED[deed]


class IsTenantMember(BasePermission):
    """Lets in members of the request's tenant, as far as their role goes.

    What a method needs says ``deed_of``. A method in the view's ``answers_unserved`` is answered though the tenant is
    not served.
    """

    message = "Your role in this tenant does not allow this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user.is_authenticated:
            return False
        membership = _membership(request, view)
        method = request.method or ""
        # What the view does not take is 405, whatever state the tenant is in, and OPTIONS says what it takes.
        takes = method != "OPTIONS" and hasattr(view, method.lower())
        if takes and method not in getattr(view, "answers_unserved", ()):
            _require_servable(membership.tenant)
        request.membership = membership  # type: ignore[attr-defined]  # ours
        return may(membership.role, deed_of(view, method))


def deed_of(view: APIView | type[APIView], method: str) -> Deed:
    """What a request of this method to this view is: ``reading_is`` (``Deed.READ`` where the view says nothing), or
    ``changing_is`` (``Deed.WRITE``).
    """
    reading: Deed = getattr(view, "reading_is", Deed.READ)
    changing: Deed = getattr(view, "changing_is", Deed.WRITE)
    return reading if method.upper() in SAFE_METHODS else changing


def membership_of(request: Request) -> UserTenantAssociation:
    """The place of the one who asks in the request's tenant. Only behind ``IsTenantMember``."""
    membership: UserTenantAssociation = request.membership  # type: ignore[attr-defined]  # set above
    return membership


def _membership(request: Request, view: APIView) -> UserTenantAssociation:
    """Raises ``Http404``, the same for a tenant that does not exist and one that is somebody else's."""
    tenant: Tenant | None = getattr(request, "tenant", None)
    user_id = request.user.pk
    # The middleware reads the slug from the path too; should the two ever differ, nobody gets in.
    if tenant is None or user_id is None or tenant.slug != view.kwargs.get("slug", tenant.slug):
        raise Http404
    membership = _found_with_token(request, tenant) or _asked_for(user_id, tenant)
    if membership is None:
        raise Http404
    # As its key says, by the query; to assign it would ask the router twice whether the two may be related.
    UserTenantAssociation.tenant.field.set_cached_value(membership, tenant)
    return membership


def _found_with_token(request: Request, tenant: Tenant) -> UserTenantAssociation | None:
    place: UserTenantAssociation | None = getattr(request.auth, PLACE, None)
    # By its keys: whoever looked the token up may have had another tenant in mind.
    is_it = place is not None and (place.user_id, place.tenant_id) == (request.user.pk, tenant.pk)
    return place if is_it else None


def _asked_for(user_id: UUID, tenant: Tenant) -> UserTenantAssociation | None:
    with use_main():
        return UserTenantAssociation.objects.filter(user_id=user_id, tenant_id=tenant.pk).first()


def _require_servable(tenant: Tenant) -> None:
    tenant.require_active()
    if settings.TENANT_BEHIND_POLICY == "refuse" and is_behind(tenant):
        raise TenantBehindError(tenant.slug, tenant=tenant.slug)
