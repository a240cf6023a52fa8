"""A kit for tests of what is built on Silo: a pytest plugin with real tenants, and ``assert_isolated``.

Say ``pytest_plugins = ["tenants.testing"]`` in the topmost ``conftest.py``; see docs/testing.md. Nothing that runs in
production may import from here: pytest is not installed there.

PYTEST_DONT_REWRITE: asserts here say themselves what they found, and a ``conftest.py`` that imports from here need not
be warned.
"""

from tenants.testing.fixtures import (
    django_db_setup,
    make_tenant,
    other_tenant,
    standing_tenants,
    tenant,
    tenant_connections,
    use_tenant,
)
from tenants.testing.isolation import assert_isolated

__all__ = [
    "assert_isolated",
    "django_db_setup",
    "make_tenant",
    "other_tenant",
    "standing_tenants",
    "tenant",
    "tenant_connections",
    "use_tenant",
]
