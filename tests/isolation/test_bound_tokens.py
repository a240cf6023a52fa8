"""Case 32: a token may be bound to one tenant, and opens nothing else."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.core.files.base import File
from rest_framework.test import APIClient

from accounts.models import Token
from tenants.lifecycle import edit
from tenants.models import Role, UserTenantAssociation

TOKENS = "/api/v1/auth/tokens/"
ACME = "/api/v1/tenants/acme/documents/"
GLOBEX = "/api/v1/tenants/globex/documents/"
MINE = ["me/", "tenants/", "auth/tokens/", "fleet/heads/"]


@pytest.fixture
def alice_of_both(alice, globex):
    UserTenantAssociation.objects.create(user=alice, tenant=globex, role=Role.OWNER)
    return alice


@pytest.fixture
def bound(as_user, alice_of_both) -> APIClient:
    """A program's client, with a token of Alice's that is bound to acme."""
    return _client(as_user(alice_of_both).post(TOKENS, {"name": "export", "tenant": "acme"}))


def _client(made) -> APIClient:
    assert made.status_code == 201, made.content
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {made.json()['token']}")
    return client


class ABoundToken:
    def test_opens_its_tenant(self, bound):
        assert bound.get(ACME).status_code == 200
        assert bound.post(ACME, {"title": "Plan", "body": ""}).status_code == 201
        assert (
            bound.post(
                "/api/v1/tenants/acme/files/", {"file": File(BytesIO(b"x"), "x.txt")}, format="multipart"
            ).status_code
            == 201
        )

    @pytest.mark.parametrize("path", [GLOBEX, "/api/v1/tenants/globex/", "/api/v1/tenants/nobodys/members/"])
    def test_is_401_at_another_tenant_though_it_is_its_users(self, bound, path):
        refused = bound.get(path)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_bound")
        assert refused.headers["WWW-Authenticate"] == "Token"

    @pytest.mark.parametrize("path", MINE)
    @pytest.mark.parametrize("headers", [{}, {"X-Tenant": "acme"}])
    def test_is_401_where_no_tenant_answers_whatever_the_header_says(self, bound, path, headers):
        assert bound.get(f"/api/v1/{path}", headers=headers).status_code == 401

    def test_makes_no_other_token_and_revokes_none(self, bound, alice):
        there = Token.objects.filter(user=alice)
        before = set(there)
        one = next(iter(before))
        headers = {"X-Tenant": "acme"}
        assert bound.post(TOKENS, {"name": "free"}, headers=headers).status_code == 401
        assert bound.delete(f"{TOKENS}{one.public_id}/", headers=headers).status_code == 401
        assert bound.post("/api/v1/auth/logout/everywhere/", headers=headers).status_code == 401
        assert set(there) == before

    def test_follows_its_tenant_to_a_new_slug_and_opens_none_that_gets_the_old(self, bound, acme, globex):
        edit(acme, slug="acme-ltd")
        edit(globex, slug="acme")
        assert bound.get("/api/v1/tenants/acme-ltd/documents/").status_code == 200
        assert bound.get(ACME).status_code == 401

    def test_opens_nothing_more_when_its_user_has_left(self, bound, alice, acme):
        UserTenantAssociation.objects.filter(user=alice, tenant=acme).delete()
        assert bound.get(ACME).status_code == 404

    def test_says_so_in_the_list(self, as_user, alice, bound):
        rows = {row["name"]: row["tenant"] for row in as_user(alice).get(TOKENS).json()["results"]}
        assert rows["export"] == "acme"
        assert set(rows.values()) == {"acme", None}


class BindingAToken:
    def test_is_done_where_the_request_names_a_tenant(self, as_user, alice_of_both):
        made = as_user(alice_of_both).post(TOKENS, {"name": "export"}, headers={"X-Tenant": "globex"})
        assert made.json()["tenant"] == "globex"
        client = _client(made)
        assert [client.get(path).status_code for path in (GLOBEX, ACME)] == [200, 401]

    def test_is_done_where_the_host_names_a_tenant(self, as_user, alice_of_both, settings):
        settings.TENANT_DOMAIN, settings.ALLOWED_HOSTS = "example.com", [".example.com"]
        made = as_user(alice_of_both).post(TOKENS, {"name": "export"}, headers={"Host": "acme.example.com"})
        assert made.json()["tenant"] == "acme"

    @pytest.mark.parametrize("slug", ["globex", "nobodys"])
    def test_to_a_tenant_that_is_not_mine_is_404(self, as_user, alice, globex, slug):
        assert as_user(alice).post(TOKENS, {"name": "export", "tenant": slug}).status_code == 404
        assert as_user(alice).post(TOKENS, {"name": "export"}, headers={"X-Tenant": slug}).status_code == 404
        assert not Token.objects.filter(name="export").exists()

    def test_to_two_tenants_is_404(self, as_user, alice_of_both):
        two = as_user(alice_of_both).post(TOKENS, {"name": "x", "tenant": "acme"}, headers={"X-Tenant": "globex"})
        assert two.status_code == 404

    def test_is_not_done_where_none_is_named(self, as_user, alice):
        made = as_user(alice).post(TOKENS, {"name": "export"})
        assert made.json()["tenant"] is None
        client = _client(made)
        assert [client.get(path).status_code for path in (ACME, "/api/v1/me/")] == [200, 200]
