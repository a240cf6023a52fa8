"""Registering, logging in and out, and oneself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth import logout as end_session
from django.contrib.auth.signals import user_logged_in, user_logged_out
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_view
from knox.settings import knox_settings
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.generics import CreateAPIView, GenericAPIView, RetrieveUpdateAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from accounts.api.authentication import TokenAuthentication
from accounts.api.errors import EmailNotVerified, as_replies
from accounts.api.examples import ALICE, LOGGED_IN
from accounts.api.serializers import (
    EmailSerializer,
    LoggedInSerializer,
    LoginSerializer,
    RegisterSerializer,
    UserSerializer,
)
from accounts.api.throttles import RegistrationThrottle, count_mail
from accounts.links import send_verification
from accounts.models import Token, User


class OpenView(GenericAPIView[Any]):
    """For those who are not logged in, whatever token they send: one that has expired keeps nobody out."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_authenticate_header(self, request: Request) -> str:
        # With no authentication classes, REST framework would turn 401 into 403.
        return str(TokenAuthentication().authenticate_header(request))


class LinksView(OpenView):
    """For those who ask for a link by mail. The reply is the same whether somebody has the address or not."""

    serializer_class = EmailSerializer

    def mail(self, request: Request, send: Callable[[str], None], reply: str) -> Response:
        """Count the request for its address, which may refuse it, and have ``send`` mail the link."""
        asked = EmailSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        with as_replies():
            count_mail(request._request, asked.validated_data["email"])
        send(asked.validated_data["email"])
        return Response({"detail": reply}, status=202)


@extend_schema_view(
    post=extend_schema(
        tags=["accounts"],
        summary="Register",
        description="Make a user account. Log in afterwards to get a token. Where addresses have to be verified, "
        "a link is sent to the address, and logging in works after it was followed.",
        auth=[],
        examples=[
            OpenApiExample(
                "Alice registers",
                value={"email": "alice@example.com", "name": "Alice", "password": "correct horse battery"},
                request_only=True,
            )
        ],
    )
)
class RegisterView(CreateAPIView[User], OpenView):
    """New user accounts."""

    serializer_class = RegisterSerializer
    throttle_classes = (RegistrationThrottle,)

    def perform_create(self, serializer: BaseSerializer[User]) -> None:
        user = serializer.save()
        if settings.EMAIL_VERIFICATION:
            send_verification(user.email)


class LoginView(OpenView):
    """Logging in."""

    serializer_class = LoginSerializer

    @extend_schema(
        tags=["accounts"],
        summary="Log in",
        description="Exchange email and password for a token. An unknown email and a wrong password get the same "
        "answer. After some wrong ones each next try has to wait, longer each time: 429, with `Retry-After`.",
        auth=[],
        request=LoginSerializer,
        responses={
            200: LoggedInSerializer,
            401: OpenApiResponse(description="Email or password is wrong."),
            403: OpenApiResponse(description="The address has to be verified first."),
        },
        examples=[
            OpenApiExample(
                "Alice logs in",
                value={"email": "alice@example.com", "password": "correct horse battery"},
                request_only=True,
            ),
            OpenApiExample("Alice is in", value=LOGGED_IN, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        credentials = LoginSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        email, password = credentials.validated_data["email"], credentials.validated_data["password"]
        with as_replies():
            user = authenticate(request._request, username=email, password=password)
        if user is None:
            raise AuthenticationFailed("Email or password is wrong.")
        return Response(log_in(request, user))


def log_in(request: Request, user: User) -> Any:
    """A token for the user, as `auth/login/` replies. Raises ``EmailNotVerified``."""
    if settings.EMAIL_VERIFICATION and user.email_verified_at is None:
        raise EmailNotVerified
    name = request.headers.get("User-Agent", "")[:100].replace("\0", "") or "log-in"
    with as_replies():
        row, token = Token.objects.issue(user, name=name, lifetime=knox_settings.TOKEN_TTL)
    user_logged_in.send(sender=User, request=request._request, user=user)
    return LoggedInSerializer({"token": token, "expiry": row.expiry, "user": user}).data


class LogoutView(APIView):
    """Logging out here."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        tags=["accounts"],
        summary="Log out",
        description="End the token, or the session, that this request is sent with.",
        request=None,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        if isinstance(request.auth, Token):
            request.auth.delete()
            user_logged_out.send(sender=User, request=request._request, user=request.user)
        else:
            end_session(request._request)
        return Response(status=204)


class LogoutEverywhereView(APIView):
    """Logging out everywhere."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        tags=["accounts"],
        summary="Log out everywhere",
        description="End all my tokens, named ones too, and all my sessions in browsers.",
        request=None,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        user = cast(User, request.user)
        user.end_tokens()
        user.end_sessions()
        end_session(request._request)
        return Response(status=204)


@extend_schema_view(
    get=extend_schema(
        tags=["accounts"],
        summary="Show myself",
        description="Whom the token belongs to.",
        examples=[OpenApiExample("Alice", value=ALICE, response_only=True)],
    ),
    patch=extend_schema(
        tags=["accounts"],
        summary="Rename myself",
        description="Change my name. The email stays.",
        examples=[OpenApiExample("Alice is called Alicia", value={"name": "Alicia"}, request_only=True)],
    ),
)
class MeView(RetrieveUpdateAPIView[User]):
    """Who the token belongs to. The name may be changed."""

    serializer_class = UserSerializer
    permission_classes = (IsAuthenticated,)
    http_method_names = ["get", "patch", "head", "options"]

    def get_object(self) -> Any:
        return self.request.user
