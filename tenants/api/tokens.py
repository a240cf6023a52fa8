"""One's own tokens: those of log-ins, and named ones for programs, which may be bound to one tenant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_view
from knox.settings import knox_settings
from rest_framework import serializers
from rest_framework.generics import DestroyAPIView, ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import as_replies
from accounts.api.text import OnlyText
from accounts.models import Token, User
from tenants.api.examples import TOKEN
from tenants.models import Tenant

TOKEN_LIVES_AT_MOST = timedelta(days=366)


class TokenSerializer(serializers.ModelSerializer[Token]):
    """A token as its user sees it later: never the token itself."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)
    tenant = serializers.CharField(
        source="tenant_slug", read_only=True, allow_null=True, help_text="The tenant it is bound to; null: to none."
    )
    is_present = serializers.SerializerMethodField(help_text="Whether this request was sent with it.")

    class Meta:
        model = Token
        fields: tuple[str, ...] = ("id", "name", "tenant", "created_at", "expiry", "is_present")
        read_only_fields = fields

    def get_is_present(self, token: Token) -> bool:
        return token == self.context["request"].auth


class NewTokenSerializer(serializers.Serializer[Any]):
    """A token to be made: what it is for, until when it is good, and where."""

    name = OnlyText(max_length=100)
    expiry = serializers.DateTimeField(
        required=False, help_text=f"At most {TOKEN_LIVES_AT_MOST.days} days from now; default: as of a log-in."
    )
    tenant = OnlyText(
        required=False,
        help_text="One of mine: it is good for that tenant only. Default: the one that the request names.",
    )

    def validate_expiry(self, expiry: datetime) -> datetime:
        if not timezone.now() < expiry <= timezone.now() + TOKEN_LIVES_AT_MOST:
            raise serializers.ValidationError(f"Choose a time within the next {TOKEN_LIVES_AT_MOST.days} days.")
        return expiry


class MadeTokenSerializer(TokenSerializer):
    """A token when it is made: the only time that it is shown."""

    token = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")
        read_only_fields = fields


@extend_schema_view(
    get=extend_schema(
        tags=["accounts"],
        summary="List my tokens",
        description="Those that are good, the newest first. A log-in's is named after the program that sent it.",
        examples=[OpenApiExample("One of them", value=TOKEN, response_only=True)],
    )
)
class TokensView(ListAPIView[Token]):
    """One's own tokens."""

    serializer_class = TokenSerializer
    permission_classes = (IsAuthenticated,)
    ordering = "-created"

    def get_queryset(self) -> QuerySet[Token]:
        slug = Subquery(Tenant.objects.filter(pk=OuterRef("tenant_id")).values("slug")[:1])
        return Token.objects.alive().filter(user_id=self.request.user.pk).annotate(tenant_slug=slug)

    @extend_schema(
        tags=["accounts"],
        summary="Make a named token",
        description="For a program. The reply is the only one that shows the token. With `tenant`, or where the "
        "request names a tenant by host or `X-Tenant`, it is bound: good below `tenants/{slug}/` of that one, and 401 "
        "elsewhere. 404 for a tenant that is not mine.",
        request=NewTokenSerializer,
        responses={
            201: MadeTokenSerializer,
            404: OpenApiResponse(description="No such tenant, or not mine."),
        },
        examples=[
            OpenApiExample(
                "For a program",
                value={"name": "nightly export", "expiry": "2027-03-01T00:00:00Z", "tenant": "acme"},
                request_only=True,
            ),
            OpenApiExample("Shown once", value=TOKEN | {"token": "9b1c...e2"}, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        new = NewTokenSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        asked, user = new.validated_data, cast(User, request.user)
        tenant = _tenant_to_bind_to(request, user, asked.get("tenant"))
        lifetime = asked["expiry"] - timezone.now() if "expiry" in asked else knox_settings.TOKEN_TTL
        with as_replies():
            row, token = Token.objects.issue(
                user, name=asked["name"], lifetime=lifetime, tenant_id=tenant.pk if tenant else None
            )
        row.token, row.tenant_slug = token, tenant and tenant.slug
        return Response(MadeTokenSerializer(row, context=self.get_serializer_context()).data, status=201)


@extend_schema_view(
    delete=extend_schema(
        tags=["accounts"],
        summary="Revoke a token",
        description="It ends at once. 404 where it is not mine.",
    )
)
class TokenView(DestroyAPIView[Token]):
    """One of them."""

    serializer_class = TokenSerializer
    permission_classes = (IsAuthenticated,)
    lookup_field = "public_id"
    lookup_url_kwarg = "id"

    def get_queryset(self) -> QuerySet[Token]:
        return Token.objects.filter(user_id=self.request.user.pk)


def _tenant_to_bind_to(request: Request, user: User, slug: str | None) -> Tenant | None:
    """The user's tenant of this slug, or the one that the request names; None where there is neither.

    Raises ``Http404`` where two are named, and for a tenant that is not theirs.
    """
    named: Tenant | None = getattr(request, "tenant", None)
    slugs = {slug, named and named.slug} - {None}
    if not slugs:
        return None
    tenant = Tenant.objects.filter(slug=slugs.pop(), associations__user=user).first()
    if tenant is None or slugs:
        raise Http404
    return tenant
