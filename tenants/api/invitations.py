"""Inviting over HTTP, and joining by the link that was mailed."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import as_replies
from accounts.api.examples import LOGGED_IN
from accounts.api.serializers import LoggedInSerializer, RegisterSerializer
from accounts.api.views import OpenView, log_in
from accounts.models import User
from tenants.api.examples import ACME, INVITATION, INVITED
from tenants.api.idempotency import Idempotent
from tenants.api.serializers import TenantSerializer
from tenants.invitations import accept, find_invitation, invite
from tenants.members import require_manager
from tenants.models import Invitation, UserTenantAssociation
from tenants.permissions import Deed, IsTenantMember, membership_of


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """Somebody who may join. The link is in the e-mail only."""

    invited_by = serializers.EmailField(source="invited_by.email", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Invitation
        fields = ("id", "email", "role", "invited_by", "created_at", "expires_at")
        read_only_fields = ("id", "created_at", "expires_at")


class InvitedSerializer(serializers.ModelSerializer[Invitation]):
    """An invitation as the one who is invited sees it."""

    tenant = serializers.CharField(source="tenant.slug", read_only=True)

    class Meta:
        model = Invitation
        fields = ("tenant", "role", "email", "expires_at")
        read_only_fields = fields


class RegisterInvitedSerializer(RegisterSerializer):
    """A new user. The address is the one that was invited."""

    class Meta(RegisterSerializer.Meta):
        fields = ("name", "password")
        read_only_fields = ()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return super().validate(attrs | {"email": self.context["invitation"].email})


@extend_schema_view(
    get=extend_schema(
        tags=["members"],
        summary="List invitations",
        description="Those that are still good. For owners and admins.",
        examples=[OpenApiExample("One of them", value=INVITATION, response_only=True)],
    )
)
class InvitationsView(Idempotent, ListAPIView[Invitation]):
    """Who may join a tenant by a link."""

    serializer_class = InvitationSerializer
    permission_classes = (IsTenantMember,)
    reading_is = changing_is = Deed.MANAGE_MEMBERS

    def get_queryset(self) -> QuerySet[Invitation]:
        if getattr(self, "swagger_fake_view", False):
            return Invitation.objects.none()
        return invitations_of(self.request).filter(expires_at__gt=timezone.now())

    @extend_schema(
        tags=["members"],
        summary="Invite somebody",
        description="Mails a link by which the reader may join, with an account or without one yet, once and within a "
        "week. An earlier one to the same address is good no longer. For owners and admins; only owners invite owners.",
        responses={201: InvitationSerializer},
        examples=[
            OpenApiExample(
                "Alice invites Dave", value={"email": "dave@example.com", "role": "member"}, request_only=True
            )
        ],
    )
    def post(self, request: Request, slug: str) -> Response:
        by, new = membership_of(request), InvitationSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        email, role = new.validated_data["email"], new.validated_data.get("role", Invitation().role)
        require_manager(by, role)
        with as_replies():
            invitation = invite(by.tenant, email, role, cast(User, request.user))
        return Response(InvitationSerializer(invitation).data, status=201)


class InvitationView(GenericAPIView[Invitation]):
    """One invitation."""

    serializer_class = InvitationSerializer
    permission_classes = (IsTenantMember,)
    reading_is = changing_is = Deed.MANAGE_MEMBERS

    @extend_schema(
        tags=["members"],
        summary="Take an invitation back",
        description="Its link is good no longer. For owners and admins; only owners take back an owner's.",
        responses={204: None},
    )
    def delete(self, request: Request, slug: str, id: UUID) -> Response:
        invitation = invitations_of(request).filter(pk=id).first()
        if invitation is None:
            raise Http404
        require_manager(membership_of(request), invitation.role)
        invitation.delete()
        return Response(status=204)


class LinkView(OpenView):
    """An invitation, by the link that was mailed."""

    serializer_class = InvitedSerializer

    @extend_schema(
        operation_id="invitations_show",
        tags=["members"],
        summary="Look at an invitation",
        description="What the link is for. 404 where it was used, taken back or has expired.",
        auth=[],
        responses={200: InvitedSerializer},
        examples=[OpenApiExample("Dave's", value=INVITED, response_only=True)],
    )
    def get(self, request: Request, link: str) -> Response:
        return Response(InvitedSerializer(find_invitation(link)).data)


class AcceptView(GenericAPIView[UserTenantAssociation]):
    """Joining with the account one has."""

    serializer_class = TenantSerializer
    permission_classes = (IsAuthenticated,)

    @extend_schema(
        operation_id="invitations_accept",
        tags=["members"],
        summary="Accept an invitation",
        description="Logged in as the address that was invited. 403 as another one, 409 where I belong to the tenant.",
        request=None,
        responses={200: TenantSerializer},
        examples=[OpenApiExample("Dave has joined", value=ACME | {"role": "member"}, response_only=True)],
    )
    def post(self, request: Request, link: str) -> Response:
        membership = accept(find_invitation(link), cast(User, request.user))
        return Response(TenantSerializer(membership).data)


class RegisterView(OpenView):
    """Joining with an account that is made by it."""

    serializer_class = RegisterInvitedSerializer

    @extend_schema(
        operation_id="invitations_register",
        tags=["members"],
        summary="Register and accept an invitation",
        description="For those who have no account: one is made with the address that was invited, which counts as "
        "verified, and joins the tenant. The reply is that of a log-in. 400 where the address has an account.",
        auth=[],
        responses={201: LoggedInSerializer},
        examples=[
            OpenApiExample("Dave", value={"name": "Dave", "password": "correct horse battery"}, request_only=True),
            OpenApiExample("Dave is in", value=LOGGED_IN, response_only=True),
        ],
    )
    def post(self, request: Request, link: str) -> Response:
        invitation = find_invitation(link)
        new = RegisterInvitedSerializer(data=request.data, context={"invitation": invitation})
        new.is_valid(raise_exception=True)
        with transaction.atomic(using="default"):
            user = new.save(email_verified_at=timezone.now())
            accept(invitation, user)
        return Response(log_in(request, user), status=201)


def invitations_of(request: Request) -> QuerySet[Invitation]:
    return Invitation.objects.filter(tenant_id=membership_of(request).tenant_id).select_related("invited_by")
