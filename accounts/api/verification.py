"""Saying that an e-mail address is one's own."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import links
from accounts.api.errors import as_replies
from accounts.api.serializers import LinkSerializer, SentSerializer
from accounts.api.views import LinksView, OpenView

SENT = "If somebody has this address and has not verified it yet, a link is on its way to it. It is good for an hour."


class VerificationsView(LinksView):
    """Links that verify an address."""

    @extend_schema(
        operation_id="auth_verify_email_ask",
        tags=["accounts"],
        summary="Ask for another link to verify an address",
        description="The reply is the same whether somebody has the address or not. After some requests the next has "
        "to wait: 429, with `Retry-After`.",
        auth=[],
        responses={202: SentSerializer},
        examples=[
            OpenApiExample("Alice asks again", value={"email": "alice@example.com"}, request_only=True),
            OpenApiExample("Whoever asks", value={"detail": SENT}, response_only=True, status_codes=["202"]),
        ],
    )
    def post(self, request: Request) -> Response:
        return self.mail(request, links.send_verification, SENT)


class VerificationView(OpenView):
    """One such link."""

    serializer_class = LinkSerializer

    @extend_schema(
        operation_id="auth_verify_email",
        tags=["accounts"],
        summary="Verify an address by a link",
        description="Serves once. Then log in.",
        auth=[],
        request=None,
        responses={200: LinkSerializer},
        examples=[OpenApiExample("It is hers", value={"email": "alice@example.com"}, response_only=True)],
    )
    def post(self, request: Request, link: str) -> Response:
        with as_replies():
            return Response(LinkSerializer(links.verify_email(link)).data)
