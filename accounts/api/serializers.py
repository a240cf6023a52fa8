"""What goes in and out of the accounts API."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError
from rest_framework import serializers

from accounts.api.text import OnlyText, TextualSerializer
from accounts.models import User

PASSWORD_MAX_LENGTH = 128


class PasswordField(OnlyText):
    """A password as it was typed, blanks at its ends too; never given out."""

    def __init__(self, **options: Any) -> None:
        as_typed = {"write_only": True, "trim_whitespace": False, "style": {"input_type": "password"}}
        super().__init__(max_length=PASSWORD_MAX_LENGTH, **as_typed, **options)  # type: ignore[arg-type]  # one dict


def require_good_password(password: str, user: User, field: str = "password") -> None:
    """Raises ``ValidationError`` on ``field`` where the site's password validators refuse it."""
    try:
        validate_password(password, user=user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from error


class UserSerializer(TextualSerializer[User]):
    """A user, as seen by that user."""

    class Meta:
        model = User
        fields = ("id", "email", "name", "is_staff", "created_at")
        read_only_fields = ("id", "email", "is_staff", "created_at")


class RegisterSerializer(TextualSerializer[User]):
    """A new user. The password must pass the site's password validators."""

    password = PasswordField()

    class Meta:
        model = User
        fields: tuple[str, ...] = ("id", "email", "name", "password", "created_at")
        read_only_fields: tuple[str, ...] = ("id", "created_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        nobody_yet = User(email=attrs["email"], name=attrs.get("name", ""))
        require_good_password(attrs["password"], nobody_yet)
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
    password = PasswordField()


class LoggedInSerializer(serializers.Serializer[Any]):
    """What logging in gives. Send it back as `Authorization: Token <token>`."""

    token = serializers.CharField(read_only=True)
    expiry = serializers.DateTimeField(read_only=True, allow_null=True)
    user = UserSerializer(read_only=True)


class EmailSerializer(serializers.Serializer[Any]):
    """An address to write to."""

    email = serializers.EmailField()


class SentSerializer(serializers.Serializer[Any]):
    """The same whether somebody has the address or not."""

    detail = serializers.CharField(read_only=True)


class LinkSerializer(serializers.Serializer[Any]):
    """Whom a link is for."""

    email = serializers.EmailField(read_only=True)


class NewPasswordSerializer(serializers.Serializer[Any]):
    """A password to be set. ``instance`` is the user."""

    password = PasswordField()

    def validate_password(self, password: str) -> str:
        assert isinstance(self.instance, User)
        try:
            validate_password(password, user=self.instance)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from error
        return password


class ChangedPasswordSerializer(NewPasswordSerializer):
    """A password to be set by its user, who knows the present one."""

    present_password = PasswordField()

    def validate_present_password(self, password: str) -> str:
        assert isinstance(self.instance, User)
        if not self.instance.check_password(password):
            raise serializers.ValidationError("This is not your present password.", code="wrong_password")
        return password
