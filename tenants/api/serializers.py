"""What goes in and out of the tenants API."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.text import OnlyText, TextualSerializer
from accounts.models import User
from tenants import naming
from tenants.errors import TenantExistsError
from tenants.lifecycle import create_tenant, edit, resume_creation
from tenants.models import Role, Tenant, UserTenantAssociation

MOST_LABELS = 50
LABEL_MAX_LENGTH = 200
LABEL_KEY = re.compile(r"[A-Za-z0-9._-]{1,63}")


class TenantSerializer(serializers.ModelSerializer[UserTenantAssociation]):
    """A tenant as one of its members sees it. Where its database lives is not for them."""

    id = serializers.UUIDField(source="tenant.id", read_only=True)
    slug = serializers.CharField(source="tenant.slug", read_only=True)
    name = serializers.CharField(source="tenant.name", read_only=True)
    state = serializers.CharField(source="tenant.state", read_only=True)
    role = serializers.CharField(read_only=True, help_text="Yours in this tenant.")
    labels = serializers.DictField(source="tenant.labels", child=serializers.CharField(), read_only=True)
    delete_at = serializers.DateTimeField(
        source="tenant.delete_at",
        read_only=True,
        allow_null=True,
        help_text="While it is deleting: until then that can be taken back.",
    )
    created_at = serializers.DateTimeField(source="tenant.created_at", read_only=True)

    class Meta:
        model = UserTenantAssociation
        fields = ("id", "slug", "name", "state", "role", "labels", "delete_at", "created_at")


class SlugField(OnlyText, serializers.RegexField):
    """Validated, never normalised: two spellings must not become one slug."""

    default_error_messages = {
        "invalid": "Use lower-case letters, digits and hyphens; begin and end with a letter or digit."
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(naming.SLUG_REGEX, max_length=naming.SLUG_MAX_LENGTH, trim_whitespace=False, **options)


class NewTenantSerializer(TextualSerializer[Tenant]):
    """A tenant to be made, with its database."""

    slug = SlugField()

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


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": LABEL_MAX_LENGTH},
        "maxProperties": MOST_LABELS,
    }
)
class LabelsField(serializers.DictField):
    """Labels of tenants, or to choose tenants by."""

    child = OnlyText(max_length=LABEL_MAX_LENGTH, allow_blank=True)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        labels: dict[str, str] = super().to_internal_value(data)
        if len(labels) > MOST_LABELS:
            raise serializers.ValidationError(f"Give {MOST_LABELS} labels at most.")
        wrong = [key for key in labels if not LABEL_KEY.fullmatch(key)]
        if wrong:
            raise serializers.ValidationError(
                f"{wrong[0]!r} is no label: use up to 63 letters, digits, dots, hyphens and underscores."
            )
        return labels


class ChangedTenantSerializer(serializers.Serializer[Tenant]):
    """What may be changed about a tenant. Labels are replaced as a whole."""

    name = OnlyText(max_length=200, required=False)
    slug = SlugField(required=False, help_text="The old one names nobody from then on.")
    labels = LabelsField(required=False, help_text='{"plan": "pro"}')

    def update(self, instance: Tenant, validated_data: dict[str, Any]) -> Tenant:
        edit(instance, **validated_data)
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
