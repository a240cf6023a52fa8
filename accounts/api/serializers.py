"""What goes in and out of the accounts API."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError
from rest_framework import serializers

from accounts.models import User

PASSWORD_MAX_LENGTH = 128


class UserSerializer(serializers.ModelSerializer[User]):
    """A user, as seen by that user."""

    class Meta:
        model = User
        fields = ("id", "email", "name", "is_staff", "created_at")
        read_only_fields = ("id", "email", "is_staff", "created_at")


class RegisterSerializer(serializers.ModelSerializer[User]):
    """A new user. The password must pass the site's password validators."""

    password = serializers.CharField(
        write_only=True, trim_whitespace=False, max_length=PASSWORD_MAX_LENGTH, style={"input_type": "password"}
    )

    class Meta:
        model = User
        fields = ("id", "email", "name", "password", "created_at")
        read_only_fields = ("id", "created_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        nobody_yet = User(email=attrs["email"], name=attrs.get("name", ""))
        try:
            validate_password(attrs["password"], user=nobody_yet)
        except DjangoValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from error
        return attrs

    def create(self, validated_data: dict[str, Any]) -> User:
        try:
            return User.objects.create_user(**validated_data)
        except IntegrityError as error:
            # Two who register one email at once both pass the look-up; the database lets one in.
            taken = User._meta.get_field("email").error_messages["unique"]
            raise serializers.ValidationError({"email": [taken]}) from error


class LoginSerializer(serializers.Serializer[User]):
    """An email and a password."""

    email = serializers.EmailField()
    password = serializers.CharField(
        trim_whitespace=False, max_length=PASSWORD_MAX_LENGTH, style={"input_type": "password"}
    )


class TokenSerializer(serializers.Serializer[Any]):
    """What logging in gives. Send it back as `Authorization: Token <token>`."""

    token = serializers.CharField(read_only=True)
    expiry = serializers.DateTimeField(read_only=True, allow_null=True)
    user = UserSerializer(read_only=True)
