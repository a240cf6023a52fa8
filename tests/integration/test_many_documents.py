"""A tenant with 50,000 documents: few statements, by an index each, and page 500 for the price of page 1."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.pagination import Cursor

from tenant_data.api.keyset import Keyset
from tenant_data.models import Document
from tenants.context import use_tenant
from tenants.databases.sessions import owner_session
from tenants.models import UserTenantAssociation
from tenants.routing.connections import databases
from tenants.routing.registry import directory
from tests.conftest import _user

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
    timestamptz '2026-01-01' + n * interval '1 minute',
    timestamptz '2026-03-01' + (n * 7919 % 50000) * interval '1 minute'
FROM generate_series(1, 50000) n;
"""


@pytest.fixture(scope="module")
def fifty_thousand(standing_tenants, django_db_blocker):
    """acme, filled once for all of these tests; so none of them may ask for the fixture that empties it."""
    with django_db_blocker.unblock():
        tenant = standing_tenants.find("acme")
        with owner_session(tenant) as owner, owner.cursor() as cursor:
            cursor.execute(FILL)
            # As autovacuum does after so many: it puts the new words in their place in the index, and counts rows.
            cursor.execute("VACUUM (ANALYZE) tenant_data_document")
        directory.leave(tenant.alias)
        yield tenant
        standing_tenants.clean(tenant)


@pytest.fixture
def client(as_user, tenant_connections, fifty_thousand):
    user = _user("bob")
    UserTenantAssociation.objects.create(user=user, tenant=fifty_thousand, role="member")
    databases().pin(fifty_thousand.alias)
    yield as_user(user)
    databases().unpin(fifty_thousand.alias)
    directory.leave(fifty_thousand.alias)


class Asked:
    """A request: its reply, its statements in the tenant, and how PostgreSQL carries out the first one."""

    def __init__(self, client, tenant, **asked):
        with CaptureQueriesContext(connections[tenant.alias]) as own:
            reply = client.get(DOCUMENTS, asked)
        assert reply.status_code == 200, reply.content
        self.page = reply.json()
        self.statements = [query["sql"] for query in own]
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


class AList:
    @pytest.mark.parametrize(
        ("asked", "index"),
        [
            ({}, "document_by_creation"),
            ({"ordering": "created_at"}, "document_by_creation"),
            ({"ordering": "-updated_at"}, "document_by_change"),
            ({"ordering": "title"}, "document_by_title"),
            ({"created_from": "2026-01-10T00:00Z", "created_before": "2026-01-10T01:00Z"}, "document_by_creation"),
            ({"updated_from": "2026-03-10T00:00Z", "updated_before": "2026-03-10T01:00Z"}, "document_by_change"),
            ({"author": AUTHOR}, "document_by_owner"),
            ({"title": "TITLE 00"}, "document_by_title_start"),
            ({"tag": ["rare7", "half1"]}, "document_by_tag"),
            ({"tag": "half1"}, "document_by_creation"),
            ({"has_file": "true", "ordering": "title"}, "tenant_data_document_file_id"),
            ({"has_file": "false"}, "document_by_creation"),
            ({"trashed": "true"}, "document_in_trash"),
            ({"q": "rare7"}, "document_by_word"),
            ({"q": "hundredth7"}, "document_by_word"),
            ({"q": "hundredth7 -half0", "tag": "half1", "ordering": "-created_at"}, "document_by_"),
        ],
    )
    def test_is_one_statement_by_an_index(self, ask, asked, index):
        listed = ask(**asked)
        assert listed.page["results"]
        assert len(listed.statements) == 1
        assert any(name.startswith(index) for name in listed.indexes), json.dumps(listed.plan, indent=1)
        assert "Seq Scan" not in {node["Node Type"] for node in listed.nodes}

    def test_makes_the_highlights_of_its_page_only(self, ask):
        """Where half of all documents are found."""
        listed = ask(q="half1")
        making = [
            node for node in listed.nodes if any(out.startswith("ts_headline(") for out in node.get("Output", ()))
        ]
        assert [node["Actual Rows"] for node in making] == [PAGE + 1]
        assert max(node["Actual Rows"] for node in listed.nodes) > 20_000


class Page500:
    @pytest.mark.parametrize("ordering", ["-created_at", "created_at", "-updated_at", "title"])
    def test_costs_what_page_1_does(self, ask, fifty_thousand, ordering):
        first = ask(ordering=ordering)
        far = ask(ordering=ordering, cursor=cursor_at(fifty_thousand, ordering, 499 * PAGE - 1))
        assert far.page["next"] is not None
        self.compare(first, far)

    def test_of_a_search_costs_what_page_1_does(self, ask, fifty_thousand):
        first = ask(q="half1")
        far = ask(q="half1", cursor=parse_qs(urlsplit(first.page["next"]).query)["cursor"][0])
        self.compare(first, far)

    def compare(self, first, far):
        assert {row["id"] for row in far.page["results"]}.isdisjoint(row["id"] for row in first.page["results"])
        blocks, rows = first.cost
        far_blocks, far_rows = far.cost
        assert far_rows <= rows
        assert far_blocks <= 1.5 * blocks + 10
        assert far.plan["Plan"]["Total Cost"] <= 3 * first.plan["Plan"]["Total Cost"]


def cursor_at(tenant, ordering, offset):
    """The cursor that follows a row, as a reply's ``next`` has it."""
    pages, names = Keyset(), (ordering, "-id" if ordering.startswith("-") else "id")
    with use_tenant(tenant):
        row = Document.objects.kept().order_by(*names)[offset]
    pages.base_url = "/"
    position: Any = pages._get_position_from_instance(row, names)
    following = pages.encode_cursor(Cursor(offset=0, reverse=False, position=position))
    return parse_qs(urlsplit(following).query)["cursor"][0]
