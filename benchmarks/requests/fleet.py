"""Makes a contestant's main database, and the tenants in it.

`python -m benchmarks.requests.fleet REGISTERED REAL DOCUMENTS WORK.json` writes what the requests need, `{"token",
"tenants": [{"slug", "document"}]}`: a token of a member of all, and of each real tenant a document's id.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import django

django.setup()

# Models can be imported only now, hence E402.
import psycopg2  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.management.commands.migrate import Command  # noqa: E402
from django.db import connection  # noqa: E402
from knox.models import get_token_model  # noqa: E402

from accounts.models import User  # noqa: E402
from tenant_data.models import Document  # noqa: E402
from tenants.models import Role, Server, Tenant, UserTenantAssociation  # noqa: E402


def make_database() -> None:
    server = settings.DATABASES["default"]
    session = psycopg2.connect(host=server["HOST"], port=server["PORT"], user=server["USER"], dbname="postgres")
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {server['NAME']}")
    session.close()
    call_command(Command(), verbosity=0)


def make_silo(user: User, registered: int, real: int, documents: int) -> list[dict[str, str]]:
    # The peer cannot import these: they are Silo's routing.
    from tenants.context import use_tenant
    from tenants.lifecycle import create_tenant

    found = []
    for number in range(real):
        with use_tenant(create_tenant(slug=f"tenant-{number}", owner=user)) as tenant:
            found.append({"slug": tenant.slug, "document": write(user, documents)})
    register(tenant, registered - real)
    return found


def make_plain(user: User, documents: int) -> list[dict[str, str]]:
    server, _ = Server.objects.get_or_create(host="", defaults={"name": "main"})
    tenant = Tenant.objects.create(slug="tenant-0", server=server)
    UserTenantAssociation.objects.create(user=user, tenant=tenant, role=Role.OWNER)
    return [{"slug": tenant.slug, "document": write(user, documents)}]


def register(example: Tenant, number: int) -> None:
    """Tenants that are only registered: rows in main like the example's."""
    rows = (
        Tenant(slug=f"registered-{each}", server=example.server, state=example.state, head=example.head)
        for each in range(number)
    )
    Tenant.objects.bulk_create(rows, batch_size=1000)


def write(user: User, number: int) -> str:
    rows = [Document(title=f"Minutes {each}", body="We met. " * 20, owner_id=user.pk) for each in range(number)]
    return str(Document.objects.bulk_create(rows)[0].pk)


def main(registered: str, real: str, documents: str, work: str) -> None:
    make_database()
    user = User.objects.create_user(email="alice@example.com", name="Alice")
    if settings.DATABASE_ROUTERS:
        tenants = make_silo(user, int(registered), int(real), int(documents))
    else:
        tenants = make_plain(user, int(documents))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    _, token = get_token_model().objects.create(user=user)
    Path(work).write_text(json.dumps({"token": token, "tenants": tenants}))


if __name__ == "__main__":
    main(*sys.argv[1:])
