"""The demonstration: three tenants, the people in them, and something in each to look at. For development only."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.apps import apps

from accounts.models import User
from tenants.context import tenant_atomic, use_tenant
from tenants.lifecycle import create_tenant, resume_creation
from tenants.members import add_member
from tenants.models import Role, Tenant

ADMIN_EMAIL = "admin@silo.example"
PASSWORD = "silo-demo"


@dataclass(frozen=True)
class Upload:
    name: str
    content_type: str
    text: str


@dataclass(frozen=True)
class DemoTenant:
    slug: str
    name: str
    owner: str
    upload: Upload
    document: tuple[str, str, list[str]]
    """Its title, its body, and its tags."""
    members: dict[str, Role] = field(default_factory=dict)


PEOPLE = ("Alice", "Bob", "Carol")
TENANTS = (
    DemoTenant(
        slug="acme",
        name="Acme Corporation",
        owner="Alice",
        members={"Bob": Role.MEMBER},
        upload=Upload("catalogue.csv", "text/csv", "article,price\nanvil,129.00\nrocket skates,349.50\n"),
        document=(
            "Spring catalogue",
            "The prices are in the file. Anvils are sold by weight from April on.",
            ["prices", "spring"],
        ),
    ),
    DemoTenant(
        slug="globex",
        name="Globex",
        owner="Carol",
        members={"Alice": Role.VIEWER},
        upload=Upload("minutes.txt", "text/plain", "Present: Carol, Alice.\n1. The budget is approved.\n"),
        document=(
            "Board meeting",
            "Minutes are attached; the next meeting is on the first Monday of the month.",
            ["minutes"],
        ),
    ),
    DemoTenant(
        slug="initech",
        name="Initech",
        owner="Bob",
        upload=Upload("cover-sheet.txt", "text/plain", "TPS REPORT\nPrepared by:\nDate:\n"),
        document=("How to file a report", "Use the new cover sheet. Did you get the memo?", ["reports"]),
    ),
)


def seed() -> Iterator[str]:
    """Make what is missing, and say in a line each what there is. Doing it again changes nothing."""
    if not User.objects.filter(email=ADMIN_EMAIL).exists():
        User.objects.create_superuser(ADMIN_EMAIL, PASSWORD, name="Admin")
    people = {name: _person(name) for name in PEOPLE}
    yield f"Users {ADMIN_EMAIL}, {', '.join(user.email for user in people.values())}; password {PASSWORD}"
    for demo in TENANTS:
        tenant = _tenant(demo, people)
        if tenant.state == Tenant.State.ACTIVE and apps.is_installed("tenant_data"):
            _fill(tenant, demo, people[demo.owner])
        yield f"Tenant {tenant.slug} is {tenant.state}, database {tenant.alias}"


def _person(name: str) -> User:
    email = f"{name.lower()}@silo.example"
    return User.objects.filter(email=email).first() or User.objects.create_user(email, PASSWORD, name=name)


def _tenant(demo: DemoTenant, people: dict[str, User]) -> Tenant:
    tenant = resume_creation(demo.slug) or Tenant.objects.filter(slug=demo.slug).first()
    if tenant is None:
        tenant = create_tenant(slug=demo.slug, name=demo.name, owner=people[demo.owner])
    for name, role in demo.members.items():
        if not tenant.associations.filter(user=people[name]).exists():
            add_member(tenant, people[name], role)
    return tenant


def _fill(tenant: Tenant, demo: DemoTenant, owner: User) -> None:
    """All or nothing: a tenant that has a document was filled, and is its people's own from then on."""
    # TENANT_APPS may leave tenant_data out, and its models cannot be imported then.
    from tenant_data.files import store_upload
    from tenant_data.models import Document

    with use_tenant(tenant), tenant_atomic():
        if not Document.objects.exists():
            content = io.BytesIO(demo.upload.text.encode())
            file = store_upload(demo.upload.name, content, demo.upload.content_type, owner.id)
            title, body, tags = demo.document
            Document.objects.create(title=title, body=body, tags=tags, file=file, owner_id=owner.id, editor_id=owner.id)
