"""The fleet over HTTP, for staff: rollouts, heads and servers."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import GenericAPIView, ListAPIView, ListCreateAPIView
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.serializers import HeadsSerializer, RolloutSerializer, ServerSerializer
from tenants.models import Rollout, RolloutAttempt, Server, Tenant
from tenants.rollout.heads import is_behind


@extend_schema_view(get=extend_schema(tags=["fleet"], summary="List rollouts"))
class RolloutsView(ListAPIView[Rollout]):
    """Rollouts, the newest first. They are started by `manage.py migrate_tenants` and in the admin."""

    serializer_class = RolloutSerializer
    permission_classes = (IsAdminUser,)
    ordering = "-started_at"

    def get_queryset(self) -> QuerySet[Rollout]:
        counts = {state: Count("attempts", filter=Q(attempts__state=state)) for state in RolloutAttempt.State.values}
        return Rollout.objects.select_related("started_by").annotate(**counts)


class HeadsView(GenericAPIView[Tenant]):
    """Where the fleet stands: how many tenants are at each head, the most first."""

    serializer_class = HeadsSerializer
    permission_classes = (IsAdminUser,)

    @extend_schema(tags=["fleet"], summary="Show the heads")
    def get(self, request: Request) -> Response:
        groups = Tenant.objects.order_by().values("head").annotate(tenants=Count("pk")).order_by("-tenants", "head")
        results = [{**group, "behind": is_behind(Tenant(head=group["head"]))} for group in groups]
        return Response(HeadsSerializer({"next": None, "previous": None, "results": results}).data)


@extend_schema_view(
    get=extend_schema(tags=["fleet"], summary="List servers"),
    post=extend_schema(tags=["fleet"], summary="Register a server"),
)
class ServersView(ListCreateAPIView[Server]):
    """PostgreSQL servers that hold tenant databases."""

    serializer_class = ServerSerializer
    permission_classes = (IsAdminUser,)

    def get_queryset(self) -> QuerySet[Server]:
        return Server.objects.all()
