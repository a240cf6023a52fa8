"""The fleet over HTTP, for staff: rollouts, heads and servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import GenericAPIView, ListAPIView, ListCreateAPIView, RetrieveAPIView
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from tenants.api.idempotency import Idempotent
from tenants.api.serializers import HeadsSerializer, OneRolloutSerializer, RolloutSerializer, ServerSerializer
from tenants.models import Rollout, RolloutAttempt, Server, Tenant
from tenants.rollout.control import abort, go_on, pause
from tenants.rollout.heads import is_behind


def rollouts_counted() -> QuerySet[Rollout]:
    """Rollouts with how many attempts ended in each state."""
    counts = {state: Count("attempts", filter=Q(attempts__state=state)) for state in RolloutAttempt.State.values}
    return Rollout.objects.select_related("started_by").annotate(**counts)


@extend_schema_view(get=extend_schema(tags=["fleet"], summary="List rollouts"))
class RolloutsView(ListAPIView[Rollout]):
    """Rollouts, the newest first. They are started by `manage.py migrate_tenants` and in the admin."""

    serializer_class = RolloutSerializer
    permission_classes = (IsAdminUser,)
    ordering = "-started_at"

    def get_queryset(self) -> QuerySet[Rollout]:
        return rollouts_counted()


@extend_schema_view(get=extend_schema(tags=["fleet"], summary="Show a rollout and its failures"))
class RolloutView(RetrieveAPIView[Rollout]):
    """One rollout."""

    serializer_class = OneRolloutSerializer
    permission_classes = (IsAdminUser,)

    def get_queryset(self) -> QuerySet[Rollout]:
        return rollouts_counted()


class OrderView(Idempotent, GenericAPIView[Rollout]):
    """What staff tell a running rollout. Its process heeds it within a second."""

    serializer_class = OneRolloutSerializer
    permission_classes = (IsAdminUser,)
    tell: Callable[..., None]

    def get_queryset(self) -> QuerySet[Rollout]:
        return rollouts_counted()

    def post(self, request: Request, pk: UUID) -> Response:
        rollout = self.get_object()
        type(self).tell(rollout, by=cast(User, request.user).email)
        return Response(OneRolloutSerializer(rollout).data)


@extend_schema_view(post=extend_schema(tags=["fleet"], summary="Pause a running rollout", request=None))
class PauseView(OrderView):
    """Have a rollout begin no more tenants until it is to go on. 409 where it is not running, or is paused."""

    tell = staticmethod(pause)


@extend_schema_view(post=extend_schema(tags=["fleet"], summary="Go on with a paused rollout", request=None))
class ContinueView(OrderView):
    """Have a paused rollout go on. 409 where it is not paused."""

    tell = staticmethod(go_on)


@extend_schema_view(post=extend_schema(tags=["fleet"], summary="Abort a running rollout", request=None))
class AbortView(OrderView):
    """Have a rollout begin no more tenants, and end. 409 where it is not running."""

    tell = staticmethod(abort)


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
class ServersView(Idempotent, ListCreateAPIView[Server]):
    """PostgreSQL servers that hold tenant databases."""

    serializer_class = ServerSerializer
    permission_classes = (IsAdminUser,)

    def get_queryset(self) -> QuerySet[Server]:
        return Server.objects.all()
