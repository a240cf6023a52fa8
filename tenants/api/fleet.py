"""The fleet over HTTP, for staff: rollouts, heads, drift and servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.db.models import Count, QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.generics import GenericAPIView, ListAPIView, ListCreateAPIView, RetrieveAPIView
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.models import User
from tenants.api.events import EventRenderer, events_of, one_by_one
from tenants.api.fleet_serializers import (
    DriftSerializer,
    HeadsSerializer,
    OneRolloutSerializer,
    RolloutSerializer,
    ServerSerializer,
    StartRolloutSerializer,
)
from tenants.api.idempotency import Idempotent
from tenants.api.pagination import NewestFirst
from tenants.models import Rollout, Server, Tenant
from tenants.rollout import detached
from tenants.rollout.control import abort, go_on, pause
from tenants.rollout.drift import find_drift
from tenants.rollout.heads import is_behind
from tenants.rollout.request import DEFAULT_WORKERS


@extend_schema_view(get=extend_schema(tags=["fleet"], summary="List rollouts"))
class RolloutsView(Idempotent, ListAPIView[Rollout]):
    """Rollouts, the newest first: those of `manage.py migrate_tenants`, of the admin, and of this API."""

    serializer_class = RolloutSerializer
    permission_classes = (IsAdminUser,)
    ordering = "-started_at"

    def get_queryset(self) -> QuerySet[Rollout]:
        return Rollout.objects.select_related("started_by")

    @extend_schema(
        tags=["fleet"],
        summary="Start a rollout",
        description=(
            "Starts `manage.py migrate_tenants` in a process of its own, and replies when it has begun, after about a "
            "second; watch it at `events/`. 409 where another rollout is active, 400 where it is refused."
        ),
        request=StartRolloutSerializer,
        responses={202: OneRolloutSerializer},
        examples=[
            OpenApiExample("Every tenant to the latest", value={}, request_only=True),
            OpenApiExample(
                "Carefully", value={"canary": "2%", "waves": "10%,50%,100%", "max_failures": "1%"}, request_only=True
            ),
            OpenApiExample(
                "Two tenants, one step back",
                value={"app_label": "tenant_data", "migration": "-1", "tenants": ["acme", "globex"]},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        asked = StartRolloutSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        rollout = detached.start(asked.arguments(), by=cast(User, request.user).email)
        where = reverse("rollout", kwargs={"pk": rollout.pk}, request=request)
        return Response(OneRolloutSerializer(rollout).data, status=202, headers={"Location": where})


@extend_schema_view(get=extend_schema(tags=["fleet"], summary="Show a rollout and its failures"))
class RolloutView(RetrieveAPIView[Rollout]):
    """One rollout."""

    serializer_class = OneRolloutSerializer
    permission_classes = (IsAdminUser,)

    def get_queryset(self) -> QuerySet[Rollout]:
        return Rollout.objects.select_related("started_by")


class EventsView(GenericAPIView[Rollout]):
    """A rollout as it goes, until it has ended, or for five minutes; then ask again."""

    serializer_class = RolloutSerializer
    permission_classes = (IsAdminUser,)
    renderer_classes = (EventRenderer,)

    def get_queryset(self) -> QuerySet[Rollout]:
        return Rollout.objects.all()

    @extend_schema(
        tags=["fleet"],
        summary="Watch a rollout",
        description=(
            "Server-sent events: `progress` with the rollout on each change, `failure` for each tenant that fails, and "
            "`end`, with which the stream ends. `Last-Event-ID` goes on after the failure of that id."
        ),
        parameters=[OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER)],
        responses={(200, EventRenderer.media_type): OpenApiTypes.STR},
        examples=[
            OpenApiExample(
                "A failure",
                value='event: failure\nid: 7\ndata: {"tenant": "acme", "error": "IntegrityError"}\n\n',
                response_only=True,
                media_type=EventRenderer.media_type,
            )
        ],
    )
    def get(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        last = request.headers.get("Last-Event-ID", "")
        events: Any = events_of(self.get_object(), after=int(last) if last.isascii() and last.isdecimal() else 0)
        is_async = isinstance(request._request, ASGIRequest)
        # Proxies that collect a reply before they send it: nginx heeds the last of these.
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingHttpResponse(
            one_by_one(events) if is_async else events, content_type=EventRenderer.media_type, headers=headers
        )


class OrderView(Idempotent, GenericAPIView[Rollout]):
    """What staff tell a running rollout. Its process heeds it within a second."""

    serializer_class = OneRolloutSerializer
    permission_classes = (IsAdminUser,)
    tell: Callable[..., None]

    def get_queryset(self) -> QuerySet[Rollout]:
        return Rollout.objects.select_related("started_by")

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


class DriftPage(NewestFirst):
    """Each tenant that is looked at costs a session with its database."""

    page_size = 20
    max_page_size = 100


class DriftView(GenericAPIView[Any]):
    """Tenants whose schema is not what their recorded migrations make."""

    serializer_class = DriftSerializer
    permission_classes = (IsAdminUser,)
    pagination_class = DriftPage

    def get_queryset(self) -> QuerySet[Tenant]:
        return Tenant.objects.filter(state=Tenant.State.ACTIVE).select_related("server")

    @extend_schema(
        tags=["fleet"],
        summary="Look for drift",
        description=(
            "Looks at one page of the tenants in service, the newest first, and gives those of them that differ; so a "
            "page without results is followed by others. `manage.py tenants drift` looks at all at once."
        ),
        responses=DriftSerializer(many=True),
        examples=[
            OpenApiExample(
                "A column that was added by hand",
                value={"tenant": "acme", "missing": [], "added": ["column tenant_data_file.note text"], "error": None},
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        tenants = self.paginate_queryset(self.get_queryset()) or []
        drifted = find_drift(tenants, workers=DEFAULT_WORKERS)
        return self.get_paginated_response(DriftSerializer(drifted, many=True).data)


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
