"""Tenants and their members over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from tenants.api.conditional import Tagged, require_match
from tenants.api.idempotency import Idempotent
from tenants.api.serializers import (
    MemberSerializer,
    NewMemberSerializer,
    NewTenantSerializer,
    TenantNameSerializer,
    TenantSerializer,
)
from tenants.members import add_member, change_role, hold_members, remove_member
from tenants.models import Role, Tenant, UserTenantAssociation
from tenants.permissions import Deed, IsTenantMember, may, membership_of


class TenantsView(Idempotent, ListAPIView[UserTenantAssociation]):
    """The tenants one belongs to, and new ones."""

    serializer_class = TenantSerializer
    permission_classes = (IsAuthenticated,)

    def get_queryset(self) -> QuerySet[UserTenantAssociation]:
        return UserTenantAssociation.objects.filter(user_id=cast(User, self.request.user).pk).select_related("tenant")

    @extend_schema(tags=["tenants"], summary="List my tenants")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        tags=["tenants"],
        summary="Make a tenant",
        description="Makes the tenant and its database; both are ready in the reply, and you are the owner.",
        request=NewTenantSerializer,
        responses={201: TenantSerializer},
        examples=[OpenApiExample("Alice makes acme", value={"slug": "acme", "name": "Acme Ltd"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        new = NewTenantSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        tenant = new.save(owner=request.user)
        membership = self.get_queryset().get(tenant_id=tenant.pk)
        return Response(TenantSerializer(membership).data, status=201)


class TenantView(Tagged, GenericAPIView[UserTenantAssociation]):
    """One tenant. Renaming it is for its owners."""

    serializer_class = TenantSerializer
    permission_classes = (IsTenantMember,)
    changing_is = Deed.MANAGE_TENANT

    @extend_schema(tags=["tenants"], summary="Show a tenant")
    def get(self, request: Request, slug: str) -> Response:
        return Response(TenantSerializer(membership_of(request)).data)

    @extend_schema(
        tags=["tenants"], summary="Rename a tenant", request=TenantNameSerializer, responses={200: TenantSerializer}
    )
    def patch(self, request: Request, slug: str) -> Response:
        membership = membership_of(request)
        with transaction.atomic(using="default"):
            membership.tenant = Tenant.objects.select_for_update().get(pk=membership.tenant_id)
            require_match(request, TenantSerializer(membership).data)
            changes = TenantNameSerializer(membership.tenant, data=request.data, partial=True)
            changes.is_valid(raise_exception=True)
            changes.save()
        return Response(TenantSerializer(membership).data)


@extend_schema_view(get=extend_schema(tags=["members"], summary="List members"))
class MembersView(Idempotent, ListAPIView[UserTenantAssociation]):
    """Who belongs to a tenant. Letting somebody in is for its admins and owners."""

    serializer_class = MemberSerializer
    permission_classes = (IsTenantMember,)
    changing_is = Deed.MANAGE_MEMBERS

    def get_queryset(self) -> QuerySet[UserTenantAssociation]:
        if getattr(self, "swagger_fake_view", False):
            return UserTenantAssociation.objects.none()
        return members_of(self.request)

    @extend_schema(
        tags=["members"],
        summary="Let somebody in",
        request=NewMemberSerializer,
        responses={201: MemberSerializer},
        examples=[
            OpenApiExample("Alice lets Bob in", value={"email": "bob@example.com", "role": "member"}, request_only=True)
        ],
    )
    def post(self, request: Request, slug: str) -> Response:
        new = NewMemberSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        role: str = new.validated_data["role"]
        require_owner_for(request, role)
        member = add_member(membership_of(request).tenant, new.user, role)
        return Response(MemberSerializer(member).data, status=201)


class MemberView(Tagged, GenericAPIView[UserTenantAssociation]):
    """One member. Only owners make owners, or make an owner something else; the last owner stays."""

    serializer_class = MemberSerializer
    permission_classes = (IsTenantMember,)
    changing_is = Deed.MANAGE_MEMBERS

    @extend_schema(tags=["members"], summary="Show a member")
    def get(self, request: Request, slug: str, user_id: UUID) -> Response:
        return Response(MemberSerializer(self._member(user_id)).data)

    @extend_schema(tags=["members"], summary="Change a member's role")
    def patch(self, request: Request, slug: str, user_id: UUID) -> Response:
        with self._held_member(user_id) as member:
            changes = MemberSerializer(member, data=request.data, partial=True)
            changes.is_valid(raise_exception=True)
            role: str = changes.validated_data.get("role", member.role)
            require_owner_for(request, role, member.role)
            change_role(member, role)
        return Response(MemberSerializer(member).data)

    @extend_schema(tags=["members"], summary="Take a member out", responses={204: None})
    def delete(self, request: Request, slug: str, user_id: UUID) -> Response:
        with self._held_member(user_id) as member:
            require_owner_for(request, member.role)
            remove_member(member)
        return Response(status=204)

    @contextmanager
    def _held_member(self, user_id: UUID) -> Iterator[UserTenantAssociation]:
        """A member who stays as ``If-Match`` says until it is changed."""
        with transaction.atomic(using="default"):
            hold_members(membership_of(self.request).tenant_id)
            member = self._member(user_id)
            require_match(self.request, MemberSerializer(member).data)
            yield member

    def _member(self, user_id: UUID) -> UserTenantAssociation:
        member = members_of(self.request).filter(user_id=user_id).first()
        if member is None:
            raise Http404
        return member


def members_of(request: Request) -> QuerySet[UserTenantAssociation]:
    tenant_id = membership_of(request).tenant_id
    return UserTenantAssociation.objects.filter(tenant_id=tenant_id).select_related("user")


def require_owner_for(request: Request, *roles: str) -> None:
    """Raises ``PermissionDenied`` where one of the roles is an owner's and the one who asks may not manage owners."""
    if Role.OWNER in roles and not may(membership_of(request).role, Deed.MANAGE_OWNERS):
        raise PermissionDenied("Only an owner may do this to an owner, or make one.")
