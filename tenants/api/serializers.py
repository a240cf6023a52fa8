"""What goes in and out of the tenants API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import User
from tenants import naming
from tenants.errors import TenantExistsError
from tenants.lifecycle import create_tenant, resume_creation
from tenants.models import Role, Rollout, RolloutAttempt, Server, Tenant, UserTenantAssociation

SHOWN_FAILURES = 100
"""A reply stays readable with thousands of them."""


class TenantSerializer(serializers.ModelSerializer[UserTenantAssociation]):
    """A tenant as one of its members sees it. Where its database lives is not for them."""

    id = serializers.UUIDField(source="tenant.id", read_only=True)
    slug = serializers.CharField(source="tenant.slug", read_only=True)
    name = serializers.CharField(source="tenant.name", read_only=True)
    state = serializers.CharField(source="tenant.state", read_only=True)
    role = serializers.CharField(read_only=True, help_text="Yours in this tenant.")
    created_at = serializers.DateTimeField(source="tenant.created_at", read_only=True)

    class Meta:
        model = UserTenantAssociation
        fields = ("id", "slug", "name", "state", "role", "created_at")


class NewTenantSerializer(serializers.ModelSerializer[Tenant]):
    """A tenant to be made, with its database."""

    # Validated, never normalised: two spellings must not become one slug.
    slug = serializers.RegexField(
        naming.SLUG_REGEX,
        max_length=naming.SLUG_MAX_LENGTH,
        trim_whitespace=False,
        error_messages={"invalid": "Use lower-case letters, digits and hyphens; begin and end with a letter or digit."},
    )

    class Meta:
        model = Tenant
        fields = ("slug", "name")

    def create(self, validated_data: dict[str, Any]) -> Tenant:
        owner: User = validated_data["owner"]
        slug: str = validated_data["slug"]
        try:
            return create_tenant(slug=slug, name=validated_data.get("name", ""), owner=owner)
        except TenantExistsError:
            # Whoever sends the request again after a failure half-way means the same tenant.
            halfway = Tenant.objects.filter(slug=slug, state=Tenant.State.PROVISIONING)
            if halfway.filter(associations__user=owner, associations__role=Role.OWNER).exists():
                tenant = resume_creation(slug)
                if tenant is not None:
                    return tenant
            raise


class TenantNameSerializer(serializers.ModelSerializer[Tenant]):
    """What may be changed about a tenant."""

    class Meta:
        model = Tenant
        fields = ("name",)

    def update(self, instance: Tenant, validated_data: dict[str, Any]) -> Tenant:
        instance.name = validated_data.get("name", instance.name)
        # Only these: its state or head may have moved since this request read them.
        instance.save(update_fields=("name", "updated_at"))
        return instance


class MemberSerializer(serializers.ModelSerializer[UserTenantAssociation]):
    """A user's place in a tenant."""

    user_id = serializers.UUIDField(read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)

    class Meta:
        model = UserTenantAssociation
        fields = ("user_id", "email", "name", "role", "created_at")
        read_only_fields = ("created_at",)


class NewMemberSerializer(serializers.Serializer[Any]):
    """Somebody to let in: a registered user, by email."""

    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=Role.choices, default=Role.MEMBER)

    def validate_email(self, email: str) -> str:
        user = User.objects.filter(email=email, is_active=True).first()
        if user is None:
            raise serializers.ValidationError("No user has this email.")
        self.user = user
        return email


class ServerSerializer(serializers.ModelSerializer[Server]):
    """A PostgreSQL server that holds tenant databases."""

    class Meta:
        model = Server
        fields = ("id", "name", "host", "port", "region", "capacity", "state", "created_at")
        read_only_fields = ("created_at",)


class OutcomesSerializer(serializers.Serializer[dict[str, int]]):
    """How many tenants a rollout left in each state."""

    migrated = serializers.IntegerField()
    up_to_date = serializers.IntegerField()
    failed = serializers.IntegerField()
    skipped = serializers.IntegerField()


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    """One run that brings a set of tenants to a target."""

    tenants = OutcomesSerializer(source="*", read_only=True)
    started_by = serializers.EmailField(source="started_by.email", read_only=True, allow_null=True)

    class Meta:
        model = Rollout
        fields: tuple[str, ...] = (
            *("id", "state", "target", "options", "tenants", "started_by", "os_user", "code_version", "plan_hash"),
            *("wanted", "wanted_by", "started_at", "finished_at"),
        )
        read_only_fields = fields


class FailureSerializer(serializers.ModelSerializer[RolloutAttempt]):
    """Why a tenant is not where it should be."""

    tenant = serializers.CharField(
        source="tenant.slug",
        allow_null=True,
        default=None,
        help_text="Null for the template, or a tenant that has gone.",
    )

    class Meta:
        model = RolloutAttempt
        fields = ("tenant", "migration", "sqlstate", "error", "message", "attempts")
        read_only_fields = fields


class OneRolloutSerializer(RolloutSerializer):
    """One run, with its failures."""

    failures = serializers.SerializerMethodField(help_text=f"The first {SHOWN_FAILURES}; the counts are of all.")

    class Meta(RolloutSerializer.Meta):
        fields = (*RolloutSerializer.Meta.fields, "failures")
        read_only_fields = fields

    @extend_schema_field(FailureSerializer(many=True))
    def get_failures(self, rollout: Rollout) -> Any:
        failed = rollout.attempts.filter(state=RolloutAttempt.State.FAILED).select_related("tenant")
        return FailureSerializer(failed[:SHOWN_FAILURES], many=True).data


class HeadSerializer(serializers.Serializer[dict[str, Any]]):
    """A group: the tenants whose databases stand at the same head."""

    head = serializers.DictField(
        child=serializers.CharField(), help_text="The last applied migration of each tenant app."
    )
    tenants = serializers.IntegerField(help_text="How many stand there.")
    behind = serializers.BooleanField(help_text="Whether they lack a migration that the code has.")


class HeadsSerializer(serializers.Serializer[Any]):
    """All groups at once: there are as many as there are heads, however many tenants."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = HeadSerializer(many=True)
