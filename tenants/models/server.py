"""A PostgreSQL server that holds tenant databases."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from tenants.errors import ProvisioningError

MAIN_SERVER = "main"
"""The name of the server that is made where none was registered: the main database's own."""

HOST_REGEX = r"^(?!-)[A-Za-z0-9.:-]{1,253}\Z"


class Server(models.Model):
    """Where tenant databases live.

    A blank host is the main database's own server, wherever that is today (the embedded one moves with its folder).
    The platform's role and its password are those of the main database.
    """

    class State(models.TextChoices):
        ACTIVE = "active", "active: takes new tenants"
        FULL = "full", "full: serves its tenants, takes no new ones"
        OFFLINE = "offline", "offline: out of service"

    name = models.SlugField(max_length=63, unique=True)
    host = models.CharField(
        max_length=253,
        blank=True,
        # A host, never a path or an option string: libpq would read a socket folder or a second option out of those.
        validators=[RegexValidator(HOST_REGEX, "Enter a host name or an IP address.")],
        help_text="Host name or IP address; blank: the main database's server.",
    )
    port = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
        help_text="Blank: the main database's port where the host is blank, else 5432.",
    )
    pooler_host = models.CharField(
        max_length=253,
        blank=True,
        validators=[RegexValidator(HOST_REGEX, "Enter a host name or an IP address.")],
        help_text="Where requests find its PgBouncer; blank: they go to the server itself, as all else does.",
    )
    pooler_port = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
        help_text="The PgBouncer's port; blank: 6432.",
    )
    region = models.CharField(max_length=63, blank=True)
    capacity = models.PositiveIntegerField(default=10_000, help_text="How many tenants it may hold.")
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Two for one address would take twice as many tenants, and sessions, as it has room for."""
        twin = Server.objects.filter(host=self.host, port=self.port).exclude(pk=self.pk).first()
        if twin is not None:
            raise ValidationError({"host": f"The server {twin} has this address."})

    @classmethod
    def for_new_tenant(cls) -> Server:
        """The active server with most room left; the main database's own where none was registered.

        Raises ``ProvisioningError`` where none has room.
        """
        if not cls.objects.exists():
            cls.objects.get_or_create(name=MAIN_SERVER)
        in_use = ~models.Q(tenants__state="deleting")
        roomy = (
            cls.objects.filter(state=cls.State.ACTIVE)
            .annotate(used=models.Count("tenants", filter=in_use))
            .filter(used__lt=models.F("capacity"))
        )
        found = roomy.order_by(models.F("used") - models.F("capacity"), "name").first()
        if found is None:
            raise ProvisioningError("no active server has room; register one, or raise a capacity")
        return found
