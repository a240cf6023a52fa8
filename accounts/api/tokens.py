"""One's own tokens: those of log-ins, and named ones for programs."""

from __future__ import annotations

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.generics import DestroyAPIView, ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import as_replies
from accounts.api.examples import TOKEN
from accounts.api.serializers import MadeTokenSerializer, NewTokenSerializer, TokenSerializer
from accounts.models import Token, User


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
        return Token.objects.alive().filter(user_id=self.request.user.pk)

    @extend_schema(
        tags=["accounts"],
        summary="Make a named token",
        description="For a program. The reply is the only one that shows the token.",
        request=NewTokenSerializer,
        responses={201: MadeTokenSerializer},
        examples=[
            OpenApiExample(
                "For a program", value={"name": "nightly export", "expiry": "2027-03-01T00:00:00Z"}, request_only=True
            ),
            OpenApiExample("Shown once", value=TOKEN | {"token": "9b1c...e2"}, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        new = NewTokenSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        with as_replies():
            row, token = new.save(user=cast(User, request.user))
        row.token = token
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
