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
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from tenants.api.conditional import Tagged, require_match
from tenants.api.examples import ACME, BOB
from tenants.api.idempotency import Idempotent
from tenants.api.serializers import (
    ChangedTenantSerializer,
    MemberSerializer,
    NewMemberSerializer,
    NewTenantSerializer,
    TenantSerializer,
)
from tenants.deletion import close_deleting, mark_deleting, undo_deletion
from tenants.members import add_member, change_role, hold_members, remove_member
from tenants.models import Tenant, UserTenantAssociation
from tenants.permissions import Deed, IsTenantMember, membership_of


class TenantsView(Idempotent, ListAPIView[UserTenantAssociation]):
    """The tenants one belongs to, and new ones."""

    serializer_class = TenantSerializer
    permission_classes = (IsAuthenticated,)

    def get_queryset(self) -> QuerySet[UserTenantAssociation]:
        return UserTenantAssociation.objects.filter(user_id=cast(User, self.request.user).pk).select_related("tenant")

    @extend_schema(
        tags=["tenants"],
        summary="List my tenants",
        description="The tenants I belong to, with my role in each; those too that are not served now.",
        examples=[OpenApiExample("One of Alice's", value=ACME, response_only=True)],
    )
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
    """One tenant. Changing and deleting it is for its owners."""

    serializer_class = TenantSerializer
    permission_classes = (IsTenantMember,)
    changing_is = Deed.MANAGE_TENANT
    answers_unserved = ("DELETE",)

    @extend_schema(
        tags=["tenants"],
        summary="Show a tenant",
        description="With my role in it.",
        examples=[OpenApiExample("To Alice", value=ACME, response_only=True)],
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(TenantSerializer(membership_of(request)).data)

    @extend_schema(
        tags=["tenants"],
        summary="Change a tenant",
        description="Its name, its slug or its labels, for owners. The old slug names nobody from then on, and may be "
        "taken by somebody else. 409 where another tenant has the new one.",
        request=ChangedTenantSerializer,
        responses={200: TenantSerializer},
        examples=[
            OpenApiExample("Rename", value={"slug": "acme-group", "name": "Acme Group"}, request_only=True),
            OpenApiExample("Label", value={"labels": {"plan": "pro"}}, request_only=True),
        ],
    )
    def patch(self, request: Request, slug: str) -> Response:
        membership = membership_of(request)
        with self._held_tenant(membership):
            changes = ChangedTenantSerializer(membership.tenant, data=request.data, partial=True)
            changes.is_valid(raise_exception=True)
            changes.save()
        return Response(TenantSerializer(membership).data)

    @extend_schema(
        tags=["tenants"],
        summary="Delete a tenant",
        description="For owners. It is not served from now on. Its database goes when the grace is over, at "
        "`delete_at`; until then `undelete/` takes it back. 409 where its state does not allow it.",
        request=None,
        responses={202: TenantSerializer},
        examples=[
            OpenApiExample(
                "Alice gives acme up",
                value=ACME | {"state": "deleting", "delete_at": "2026-12-22T09:30:00Z"},
                response_only=True,
                status_codes=["202"],
            )
        ],
    )
    def delete(self, request: Request, slug: str) -> Response:
        membership = membership_of(request)
        with self._held_tenant(membership):
            mark_deleting(membership.tenant)
        close_deleting(membership.tenant)
        return Response(TenantSerializer(membership).data, status=202)

    @contextmanager
    def _held_tenant(self, membership: UserTenantAssociation) -> Iterator[None]:
        """The tenant, read anew, which stays as ``If-Match`` says until it is changed."""
        with transaction.atomic(using="default"):
            held = Tenant.objects.select_for_update(no_key=True, of=("self",)).select_related("server")
            membership.tenant = held.get(pk=membership.tenant_id)
            require_match(self.request, TenantSerializer(membership).data)
            yield


class UndeleteView(GenericAPIView[UserTenantAssociation]):
    """A tenant that is being deleted."""

    serializer_class = TenantSerializer
    permission_classes = (IsTenantMember,)
    changing_is = Deed.MANAGE_TENANT
    answers_unserved = ("POST",)

    @extend_schema(
        tags=["tenants"],
        summary="Take the deletion of a tenant back",
        description="For owners, until its `delete_at`; 409 after that. The tenant is as it was before.",
        request=None,
        responses={200: TenantSerializer},
        examples=[OpenApiExample("Alice keeps acme", value=ACME, response_only=True)],
    )
    def post(self, request: Request, slug: str) -> Response:
        membership = membership_of(request)
        undo_deletion(membership.tenant)
        return Response(TenantSerializer(membership).data)


class LeaveView(GenericAPIView[UserTenantAssociation]):
    """One's own place in a tenant."""

    serializer_class = TenantSerializer
    permission_classes = (IsTenantMember,)
    changing_is = Deed.LEAVE

    @extend_schema(
        tags=["members"],
        summary="Leave a tenant",
        description="For everyone. 409 for the last owner.",
        request=None,
        responses={204: None},
    )
    def post(self, request: Request, slug: str) -> Response:
        remove_member(membership_of(request))
        return Response(status=204)


@extend_schema_view(
    get=extend_schema(
        tags=["members"],
        summary="List members",
        description="Everyone who belongs to the tenant, with the role.",
        examples=[OpenApiExample("One of them", value=BOB, response_only=True)],
    )
)
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
        description="A registered user, by email, at once. Use `invitations/` for somebody whose account you do not "
        "know. For owners and admins; only owners make owners.",
        request=NewMemberSerializer,
        responses={201: MemberSerializer},
        examples=[
            OpenApiExample("Alice lets Bob in", value={"email": "bob@example.com", "role": "member"}, request_only=True)
        ],
    )
    def post(self, request: Request, slug: str) -> Response:
        new = NewMemberSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        by, role = membership_of(request), new.validated_data["role"]
        member = add_member(by.tenant, new.user, role, by=by)
        return Response(MemberSerializer(member).data, status=201)


class MemberView(Tagged, GenericAPIView[UserTenantAssociation]):
    """One member. Only owners make owners, or make an owner something else; the last owner stays."""

    serializer_class = MemberSerializer
    permission_classes = (IsTenantMember,)
    changing_is = Deed.MANAGE_MEMBERS

    @extend_schema(
        tags=["members"],
        summary="Show a member",
        description="One member, by the user's id.",
        examples=[OpenApiExample("Bob", value=BOB, response_only=True)],
    )
    def get(self, request: Request, slug: str, user_id: UUID) -> Response:
        return Response(MemberSerializer(self._member(user_id)).data)

    @extend_schema(
        tags=["members"],
        summary="Change a member's role",
        description="For owners and admins; only owners make owners, or make an owner something else. 409 for the last "
        "owner.",
        examples=[OpenApiExample("Bob may only look", value={"role": "viewer"}, request_only=True)],
    )
    def patch(self, request: Request, slug: str, user_id: UUID) -> Response:
        with self._held_member(user_id) as member:
            changes = MemberSerializer(member, data=request.data, partial=True)
            changes.is_valid(raise_exception=True)
            role: str = changes.validated_data.get("role", member.role)
            change_role(member, role, by=membership_of(request))
        return Response(MemberSerializer(member).data)

    @extend_schema(
        tags=["members"],
        summary="Take a member out",
        description="For owners and admins; only owners take an owner out. 409 for the last owner.",
        responses={204: None},
    )
    def delete(self, request: Request, slug: str, user_id: UUID) -> Response:
        with self._held_member(user_id) as member:
            remove_member(member, by=membership_of(request))
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
