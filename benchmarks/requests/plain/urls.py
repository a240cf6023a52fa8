"""The peer's addresses: Silo's views for members of an organisation; and for all who are logged in, one query less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import URLResolver, include, path
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from tenant_data.api.urls import urlpatterns as of_tenants
from tenants.models import UserTenantAssociation


class IsMember(BasePermission):
    """What Silo's own permission asks, in one query."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user.is_authenticated:
            return False
        places = UserTenantAssociation.objects.filter(user=request.user, tenant__slug=view.kwargs["slug"])
        request.membership = places.first()  # type: ignore[attr-defined]  # what limits requests looks there
        return request.membership is not None  # type: ignore[attr-defined]


def allowed_to(permission: type[BasePermission], addresses: Sequence[Any] = of_tenants) -> list[Any]:
    """The same addresses and views, behind this permission in place of Silo's."""
    return [
        path(
            str(one.pattern),
            include(allowed_to(permission, one.url_patterns))
            if isinstance(one, URLResolver)
            else one.callback.cls.as_view(permission_classes=(permission,)),
        )
        for one in addresses
    ]


urlpatterns = [
    path("api/v1/", include(allowed_to(IsMember))),
    path("api/v1/", include("accounts.api.urls")),
    path("api/all/", include(allowed_to(IsAuthenticated))),
]
