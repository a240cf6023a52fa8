"""A person, known by an email address."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower


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
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Tenants know users by ``id``, which never changes; people log in with ``email``, in any case."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = LowerCaseEmailField(unique=True, error_messages={"unique": "A user with this email already exists."})
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField("active", default=True, help_text="Instead of deleting a user, make it inactive.")
    is_staff = models.BooleanField("staff", default=False, help_text="May use the admin and see the fleet.")
    created_at = models.DateTimeField(auto_now_add=True)

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

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.get_full_name()
