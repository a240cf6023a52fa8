"""Changing one's password, and getting a new one where it is forgotten."""

from __future__ import annotations

from typing import cast

from django.contrib.auth import update_session_auth_hash
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import links
from accounts.api.errors import as_replies
from accounts.api.serializers import (
    ChangedPasswordSerializer,
    LinkSerializer,
    NewPasswordSerializer,
    SentSerializer,
)
from accounts.api.views import LinksView, OpenView
from accounts.brakes import LOG_IN_TO_FROM, PRESENT_PASSWORD, count_try, remember, take_back
from accounts.models import Token, User
from accounts.senders import sender_of

SENT = "If somebody has this address, a link is on its way to it. It is good for an hour."


class PasswordView(GenericAPIView[User]):
    """One's own password."""

    serializer_class = ChangedPasswordSerializer
    permission_classes = (IsAuthenticated,)

    @extend_schema(
        tags=["accounts"],
        summary="Change my password",
        description="All my other tokens and sessions end; the one that this request is sent with stays.",
        responses={204: None},
        examples=[
            OpenApiExample(
                "Alice changes hers",
                value={"present_password": "correct horse battery", "password": "staple battery horse"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        user = cast(User, request.user)
        with as_replies():
            count_try(PRESENT_PASSWORD, user.pk.hex)
        changes = ChangedPasswordSerializer(user, data=request.data)
        changes.is_valid(raise_exception=True)
        take_back(PRESENT_PASSWORD, user.pk.hex)
        user.kept_token = request.auth.pk if isinstance(request.auth, Token) else None
        user.set_password(changes.validated_data["password"])
        user.save()
        if not isinstance(request.auth, Token):
            update_session_auth_hash(request._request, user)
        return Response(status=204)


class ResetsView(LinksView):
    """Links with which to set a new password."""

    @extend_schema(
        operation_id="auth_password_reset_ask",
        tags=["accounts"],
        summary="Ask for a new password",
        description="Mails a link with which to set a new password. The reply is the same whether somebody has the "
        "address or not. After some requests the next has to wait: 429, with `Retry-After`.",
        auth=[],
        responses={202: SentSerializer},
        examples=[
            OpenApiExample("Alice forgot hers", value={"email": "alice@example.com"}, request_only=True),
            OpenApiExample("Whoever asks", value={"detail": SENT}, response_only=True, status_codes=["202"]),
        ],
    )
    def post(self, request: Request) -> Response:
        return self.mail(request, links.send_reset, SENT)


class ResetView(OpenView):
    """One such link."""

    serializer_class = NewPasswordSerializer

    @extend_schema(
        operation_id="auth_password_reset_show",
        tags=["accounts"],
        summary="Look at a link for a new password",
        description="Whom it is for. 404 where it was used, has expired or is no link of ours.",
        auth=[],
        responses={200: LinkSerializer},
        examples=[OpenApiExample("Still good", value={"email": "alice@example.com"}, response_only=True)],
    )
    def get(self, request: Request, link: str) -> Response:
        with as_replies():
            return Response(LinkSerializer(links.user_to_reset(link)).data)

    @extend_schema(
        operation_id="auth_password_reset_set",
        tags=["accounts"],
        summary="Set a new password by a link",
        description="Serves once. All tokens and sessions end; log in with the new password.",
        auth=[],
        responses={204: None},
        examples=[OpenApiExample("Alice sets one", value={"password": "staple battery horse"}, request_only=True)],
    )
    def post(self, request: Request, link: str) -> Response:
        with as_replies():
            new = NewPasswordSerializer(links.user_to_reset(link), data=request.data)
            new.is_valid(raise_exception=True)
            user = links.reset_password(link, new.validated_data["password"])
        # Whoever reads the account's mail need not wait because others guess.
        remember(LOG_IN_TO_FROM, user.email, sender_of(request._request))
        return Response(status=204)
