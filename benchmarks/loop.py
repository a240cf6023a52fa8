"""What people write by hand: Django's own `migrate` for one tenant after the other, in one process."""

from __future__ import annotations

import django

django.setup()

# Models can be imported only now, hence E402.
from django.core.management import call_command  # noqa: E402
from django.core.management.commands.migrate import Command  # noqa: E402

from tenants.databases.sessions import owner_session  # noqa: E402
from tenants.models import Tenant  # noqa: E402


def main() -> None:
    for tenant in Tenant.objects.select_related("server"):
        with owner_session(tenant):
            for app in ("tenant_data", "notes"):
                call_command(Command(), app, database=tenant.alias, verbosity=0)


if __name__ == "__main__":
    main()
