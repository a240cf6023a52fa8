"""Requests that no client of ours would send, and what schemathesis sent."""

import base64

import pytest

from tenant_data.models import Document
from tenants.context import use_tenant
from tenants.models import Tenant
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

ACME = "/api/v1/tenants/acme/"
DOCUMENTS = f"{ACME}documents/"


def cursor_at(position: str) -> str:
    return base64.b64encode(f"p={position}".encode()).decode()


class AMadeUpCursor:
    @pytest.mark.parametrize(
        "position",
        ["2026-01-01T00:00:00%2B18:00", "0001-01-01T00:00:00%2B05:00", "2026-13-01T00:00:00Z", "yesterday", "%00"],
    )
    def test_is_a_page_or_404(self, as_user, acme, alice, position):
        reply = as_user(alice).get("/api/v1/tenants/", {"cursor": cursor_at(position)})
        assert reply.status_code == (200 if "%2B18" in position else 404)


class ASizeOfPages:
    @pytest.mark.parametrize("path", ["/api/v1/tenants/", DOCUMENTS])
    def test_is_a_number(self, as_user, acme, alice, path):
        client = as_user(alice)
        for size in ("null", "0", "-1", "1.5", "", "\u0663"):
            assert client.get(path, {"page_size": size}).status_code == 400, size
        for size in ("1", "500", "9" * 5000):
            assert client.get(path, {"page_size": size}).status_code == 200, size


class ATimeToFilterBy:
    def test_is_one(self, as_user, acme, alice):
        assert as_user(alice).get(DOCUMENTS, {"created_from": ""}).status_code == 400


class AnAuthorToFilterBy:
    def test_is_an_id_as_it_is_shown(self, as_user, acme, alice):
        client = as_user(alice)
        assert client.get(DOCUMENTS, {"author": str(alice.pk)}).status_code == 200
        for author in ("", alice.pk.hex, f"{{{alice.pk}}}", "x"):
            assert client.get(DOCUMENTS, {"author": author}).status_code == 400, author


class AMethodThatIsNotTaken:
    def test_is_405_also_of_a_tenant_that_is_not_served(self, as_user, acme, alice):
        Tenant.objects.filter(pk=acme.pk).update(state=Tenant.State.SUSPENDED)
        assert as_user(alice).put(f"{ACME}undelete/").status_code == 405
        assert as_user(alice).options(f"{ACME}undelete/").status_code == 200
        assert as_user(alice).get(DOCUMENTS).status_code == 503


class Options:
    def test_are_answered_of_what_is_changed_under_a_lock(self, as_user, acme, alice):
        with use_tenant(acme):
            document = Document.objects.create(title="x")
        reply = as_user(alice).options(f"{DOCUMENTS}{document.pk}/")
        assert reply.status_code == 200
        assert {"GET", "PUT", "PATCH", "DELETE"} <= set(reply["Allow"].split(", "))


class AText:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("patch", "/api/v1/me/", {"name": 7}),
            ("post", "/api/v1/auth/tokens/", {"name": 7}),
            ("post", "/api/v1/auth/register/", {"email": "x@example.com", "password": 8265430917265}),
            ("post", "/api/v1/tenants/", {"slug": "seven", "name": 7}),
            ("patch", ACME, {"labels": {"plan": 7}}),
            ("post", DOCUMENTS, {"title": 7}),
            ("post", DOCUMENTS, {"title": "x", "body": 7}),
            ("post", DOCUMENTS, {"title": "x", "tags": [7]}),
        ],
    )
    def test_is_no_number(self, as_user, acme, alice, method, path, body):
        reply = getattr(as_user(alice), method)(path, body)
        assert reply.status_code == 400, reply.content
        assert reply.json()["errors"][0]["detail"] == "Not a valid string."


class AFileOfADocument:
    @pytest.mark.parametrize("nothing", ["", " ", "x", []])
    def test_is_an_id_or_null(self, as_user, acme, alice, nothing):
        client = as_user(alice)
        for one, path in (
            ({"title": "x", "file": nothing}, DOCUMENTS),
            ({"documents": [{"title": "x", "file": nothing}]}, f"{DOCUMENTS}bulk/"),
        ):
            assert client.post(path, one).status_code == 400, path
        made = client.post(DOCUMENTS, {"title": "x", "file": None}).json()
        assert client.patch(f"{DOCUMENTS}{made['id']}/", {"file": nothing}).status_code == 400


class ALogIn:
    def test_may_be_a_form(self, api, alice):
        """Not in the OpenAPI, but people try things with curl."""
        who = {"email": alice.email, "password": PASSWORD}
        assert api.post("/api/v1/auth/login/", who, format="multipart").status_code == 200
