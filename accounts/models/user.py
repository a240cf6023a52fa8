"""A person, known by an email address."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac


class LowerCaseEmailField(models.EmailField):
    """An email address kept in lower case, so that equal ignoring case means equal."""

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return value.lower() if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        # Look-ups come through here as well, so logging in as Alice@Example.com finds alice@example.com.
        value = super().get_prep_value(value)
        return value.lower() if isinstance(value, str) else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


class UserManager(BaseUserManager["User"]):
    """Makes users. A password of None makes one who cannot log in by password."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Raises ``ValueError`` without an email, ``IntegrityError`` where another user has it in any case."""
        if not email:
            raise ValueError("A user needs an email address.")
        user = self.model(email=email, password=make_password(password), **fields)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """One who may do everything. Whoever runs the command answers for the address."""
        rights = {"is_staff": True, "is_superuser": True, "email_verified_at": timezone.now()}
        return self.create_user(email, password, **{**rights, **fields})


class User(AbstractBaseUser, PermissionsMixin):  # type: ignore[django-manager-missing]  # knox has no types
    """A person. Tenants know users by ``id``, which never changes; people log in with ``email``, in any case.

    A new password ends all tokens and sessions, whoever sets it and wherever; all but ``kept_token``, the one with
    which the user sets it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = LowerCaseEmailField(unique=True, error_messages={"unique": "A user with this email already exists."})
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField("active", default=True, help_text="Instead of deleting a user, make it inactive.")
    is_staff = models.BooleanField("staff", default=False, help_text="May use the admin and see the fleet.")
    email_verified_at = models.DateTimeField("email verified", null=True, blank=True, editable=False)
    session_generation = models.PositiveIntegerField(default=1, editable=False, help_text="Raised, it ends sessions.")
    created_at = models.DateTimeField(auto_now_add=True)

    kept_token: str | None = None
    """The digest of a token that outlives the next change of the password."""

    objects = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("email",)
        constraints = (
            # The field lower-cases what goes through the ORM; this holds for all else that writes.
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_is_lower_case"),
        )

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        # As Django's own save() tells a new password from one that is only hashed anew.
        is_new_password = self._password is not None  # type: ignore[attr-defined]  # missing in the stubs
        # Both or none: a password that was changed because somebody had it must not leave his token behind.
        with transaction.atomic(using="default"):
            super().save(*args, **kwargs)
            if is_new_password:
                self.end_tokens()

    def end_tokens(self) -> None:
        apps.get_model("accounts", "Token")._default_manager.filter(user=self).exclude(pk=self.kept_token).delete()

    def end_sessions(self) -> None:
        """End all log-ins by cookie. They carry a hash of the generation, and are refused with an earlier one's."""
        User.objects.filter(pk=self.pk).update(session_generation=models.F("session_generation") + 1)
        self.refresh_from_db(fields=["session_generation"])

    def get_session_auth_hash(self) -> str:
        return self._hash_for_sessions(None)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._hash_for_sessions(secret)

    def _hash_for_sessions(self, secret: str | bytes | None) -> str:
        told = f"{self.session_generation}:{self.password}"
        return salted_hmac("accounts.models.User.sessions", told, secret=secret, algorithm="sha256").hexdigest()

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.get_full_name()
