"""The peer's addresses: Silo's views for members of an organisation; and for all who are logged in, one query less."""

from __future__ import annotations

from django.urls import URLPattern, include, path
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from tenant_data.api.views import DocumentsView, DocumentView
from tenants.models import UserTenantAssociation


class IsMember(BasePermission):
    """What Silo's own permission asks, in one query."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user.is_authenticated:
            return False
        places = UserTenantAssociation.objects.filter(user=request.user, tenant__slug=view.kwargs["slug"])
        return places.first() is not None


def documents(permission: type[BasePermission]) -> list[URLPattern]:
    classes = (permission,)
    return [
        path("tenants/<str:slug>/documents/", DocumentsView.as_view(permission_classes=classes)),
        path("tenants/<str:slug>/documents/<uuid:id>/", DocumentView.as_view(permission_classes=classes)),
    ]


urlpatterns = [
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include(documents(IsMember))),
    path("api/all/", include(documents(IsAuthenticated))),
]
