"""The accounts API."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from knox import views as knox
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.generics import CreateAPIView, RetrieveUpdateAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from accounts.api.serializers import LoginSerializer, RegisterSerializer, TokenSerializer, UserSerializer
from accounts.api.throttles import FailedLoginThrottle, RegistrationThrottle
from accounts.models import User


@extend_schema(
    tags=["accounts"],
    summary="Register",
    auth=[],
    examples=[
        OpenApiExample(
            "Alice registers",
            value={"email": "alice@example.com", "name": "Alice", "password": "correct horse battery"},
            request_only=True,
        )
    ],
)
class RegisterView(CreateAPIView[User]):
    """Make a user account. Log in afterwards to get a token."""

    serializer_class = RegisterSerializer
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (RegistrationThrottle,)


class LoginView(knox.LoginView):
    """Exchange email and password for a token. An unknown email and a wrong password get the same answer."""

    # A token that has expired must not keep anyone from getting a new one.
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_throttles(self) -> list[BaseThrottle]:
        self.failed_logins = FailedLoginThrottle()
        return [self.failed_logins]

    def get_authenticate_header(self, request: Request) -> str:
        # With no authentication classes, REST framework would turn 401 into 403.
        return str(TokenAuthentication().authenticate_header(request))

    def get_user_serializer_class(self) -> type[UserSerializer]:
        return UserSerializer

    @extend_schema(
        tags=["accounts"],
        summary="Log in",
        auth=[],
        request=LoginSerializer,
        responses={200: TokenSerializer},
        examples=[
            OpenApiExample(
                "Alice logs in",
                value={"email": "alice@example.com", "password": "correct horse battery"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request, format: str | None = None) -> Response:
        credentials = LoginSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = authenticate(
            request._request,
            username=credentials.validated_data["email"],
            password=credentials.validated_data["password"],
        )
        if user is None:
            self.failed_logins.count_failure()
            raise AuthenticationFailed("Email or password is wrong.")
        request.user = user
        response: Response = super().post(request, format=format)
        return response


class LogoutView(knox.LogoutView):
    """End the token that this request is sent with."""

    @extend_schema(tags=["accounts"], summary="Log out", request=None, responses={204: None})
    def post(self, request: Request, format: str | None = None) -> Response:
        response: Response = super().post(request, format=format)
        return response


@extend_schema_view(
    get=extend_schema(tags=["accounts"], summary="Show myself"),
    patch=extend_schema(tags=["accounts"], summary="Rename myself"),
)
class MeView(RetrieveUpdateAPIView[User]):
    """Who the token belongs to. The name may be changed."""

    serializer_class = UserSerializer
    permission_classes = (IsAuthenticated,)
    http_method_names = ["get", "patch", "head", "options"]

    def get_object(self) -> Any:
        return self.request.user
