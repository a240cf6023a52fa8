"""Single tenants over HTTP, for staff, who belong to none."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.examples import IN_SERVICE
from tenants.lifecycle import resume, suspend
from tenants.models import Tenant


class ServedTenantSerializer(serializers.ModelSerializer[Tenant]):
    """A tenant as staff see it."""

    server = serializers.CharField(source="server.name", read_only=True)

    class Meta:
        model = Tenant
        fields = ("id", "slug", "name", "state", "server")
        read_only_fields = fields


class StaffView(GenericAPIView[Tenant]):
    """One tenant, by its slug, whoever belongs to it."""

    serializer_class = ServedTenantSerializer
    permission_classes = (IsAdminUser,)
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Tenant]:
        return Tenant.objects.select_related("server")


class SuspendView(StaffView):
    """Taking a tenant out of service."""

    @extend_schema(
        tags=["fleet"],
        summary="Suspend a tenant",
        description="Its sessions end, and its members get 503 until it is resumed. 409 where its state does not "
        "allow it.",
        request=None,
        responses={200: ServedTenantSerializer},
        examples=[OpenApiExample("Suspended", value=IN_SERVICE | {"state": "suspended"}, response_only=True)],
    )
    def post(self, request: Request, slug: str) -> Response:
        tenant = self.get_object()
        suspend(tenant)
        return Response(self.get_serializer(tenant).data)


class ResumeView(StaffView):
    """Bringing a suspended tenant back into service."""

    @extend_schema(
        tags=["fleet"],
        summary="Resume a tenant",
        description="It is brought to the fleet's head and served again. 409 where it is not suspended.",
        request=None,
        responses={200: ServedTenantSerializer},
        examples=[OpenApiExample("Resumed", value=IN_SERVICE, response_only=True)],
    )
    def post(self, request: Request, slug: str) -> Response:
        tenant = self.get_object()
        resume(tenant)
        return Response(self.get_serializer(tenant).data)
