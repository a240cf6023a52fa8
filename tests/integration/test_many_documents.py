"""A tenant with 50,000 documents: few statements, by an index each, and page 500 for the price of page 1."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from tenants.databases.sessions import owner_session
from tenants.models import Tenant, UserTenantAssociation
from tenants.routing.connections import databases
from tests.conftest import _empty_tenant, _user

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/tenants/acme/documents/"
AUTHOR = "8f4c6d0a-8a43-4a36-9b6e-2f6f0f7f1c55"
PAGE = 50
BY_INDEX = {"Index Scan", "Bitmap Index Scan", "Index Only Scan"}

# A minute between two; words and tags of three frequencies: one in 2, in 100, in 10,000. A few have a file, some are
# in the trash.
FILL = f"""
INSERT INTO tenant_data_file (id, name, sha256, size, content_type, created_at)
    VALUES ('{AUTHOR}', 'a.txt', repeat('0', 64), 0, 'text/plain', now());
INSERT INTO tenant_data_document (id, title, body, tags, file_id, owner_id, deleted_at, created_at, updated_at)
SELECT gen_random_uuid(), 'Title ' || md5(n::text), 'half' || n % 2 || ' hundredth' || n % 100 || ' rare' || n % 10000,
    ARRAY['half' || n % 2, 'rare' || n % 10000], CASE WHEN n % 1000 = 0 THEN '{AUTHOR}'::uuid END,
    CASE WHEN n % 100 = 0 THEN '{AUTHOR}'::uuid END, CASE WHEN n % 500 = 499 THEN now() - n * interval '1 second' END,
    timestamptz '2026-01-01' + n * interval '1 minute', timestamptz '2026-03-01' + (n * 7919 % 50000) * interval '1 minute'
FROM generate_series(1, 50000) n;
ANALYZE tenant_data_document;
"""


@pytest.fixture(scope="module")
def fifty_thousand(django_db_setup, django_db_blocker):
    """acme, filled once for all of these tests; so none of them may ask for the fixture that empties it."""
    with django_db_blocker.unblock():
        emptied = _empty_tenant("acme")
        tenant = next(emptied)
        with owner_session(tenant) as owner, owner.cursor() as cursor:
            cursor.execute(FILL)
        yield tenant
        next(emptied, None)


@pytest.fixture
def client(as_user, tenant_connections, fifty_thousand):
    user = _user("bob")
    UserTenantAssociation.objects.create(user=user, tenant=fifty_thousand, role="member")
    return as_user(user)


class Asked:
    """One request: its reply, its statements in the tenant and in main, and how PostgreSQL carries the first one out."""

    def __init__(self, client, tenant, **asked):
        client.get("/api/v1/tenants/acme/files/")  # so that what is remembered between requests is
        with CaptureQueriesContext(connection) as main, CaptureQueriesContext(connections[tenant.alias]) as own:
            reply = client.get(DOCUMENTS, asked)
        assert reply.status_code == 200, reply.content
        self.page = reply.json()
        self.statements, self.statements_in_main = [query["sql"] for query in own], len(main)
        with connections[tenant.alias].cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, VERBOSE, FORMAT JSON) {self.statements[0]}")
            (self.plan,) = cursor.fetchone()[0]

    @property
    def nodes(self):
        """The nodes of the plan, from the top."""
        waiting, found = [self.plan["Plan"]], []
        while waiting:
            found.append(node := waiting.pop(0))
            waiting += node.get("Plans", ())
        return found

    @property
    def indexes(self):
        return {node["Index Name"] for node in self.nodes if node["Node Type"] in BY_INDEX}

    @property
    def cost(self):
        """Blocks that were looked at, and rows that were read."""
        top = self.plan["Plan"]
        return top["Shared Hit Blocks"] + top["Shared Read Blocks"], max(node["Actual Rows"] for node in self.nodes)


@pytest.fixture
def ask(client, fifty_thousand):
    return lambda **asked: Asked(client, fifty_thousand, **asked)
