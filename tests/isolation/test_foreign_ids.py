"""Case 33: in a path, a body or a filter, what belongs to another tenant does not exist.

The endpoints are read from the URL configuration, so that a new one is tested on the day it is added.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from tenant_data.files import store_upload
from tenant_data.models import Document, File
from tenants.context import use_tenant
from tenants.models import Invitation, Role, UserTenantAssociation
from tenants.testing import assert_isolated

WEEK = timedelta(days=7)
PREFIX = "/api/v1/tenants/{slug}/"
BODY = {"title": "x", "name": "x", "email": "carol@example.com", "role": "owner"}


def tenant_endpoints(resolver: URLResolver | None = None, before: str = "/") -> list[tuple[str, str]]:
    """Path and method of everything below a tenant's path, with ``{slug}`` and ``{name}`` in place of converters."""
    found = []
    for pattern in (resolver or get_resolver()).url_patterns:
        path = before + str(pattern.pattern).replace("<str:", "{").replace("<uuid:", "{").replace("<int:", "{")
        path = path.replace(">", "}")
        if isinstance(pattern, URLResolver):
            found += tenant_endpoints(pattern, path)
        elif isinstance(pattern, URLPattern) and path.startswith(PREFIX):
            callback: Any = pattern.callback
            view = callback.view_class
            methods = [method for method in view.http_method_names if hasattr(view, method) and method != "options"]
            found += [(path, method) for method in methods]
    return found


FROM_THE_TRASH = f"{PREFIX}documents/{{id}}/restore/"
ENDPOINTS = tenant_endpoints()
WITH_AN_ID = [(path, method) for path, method in ENDPOINTS if path.count("{") > 1]


def send(client, path, method, **names):
    return getattr(client, method)(path.format(number=1, **names), BODY if method in {"post", "put", "patch"} else None)


@pytest.fixture
def acmes(acme, bob):
    """Ids of what acme has: a file, a document that needs it, a member, an invitation."""
    with use_tenant(acme):
        file = store_upload("secret.txt", [b"acme's own"], "text/plain", bob.pk)
        document = Document.objects.create(title="Secret", owner_id=bob.pk, file=file)
    invited = invitation(acme, "dave@example.com")
    return {"files": file.pk, "documents": document.pk, "members": bob.pk, "invitations": invited.pk}


def for_path(path, those):
    """What a path is about, of those by collection."""
    return next(found for collection, found in those.items() if f"/{collection}/" in path)


class TheList:
    def test_has_every_endpoint(self):
        collections = {path.removeprefix(PREFIX) for path, _ in ENDPOINTS}
        assert {"", "members/", "files/", "documents/", "files/{id}/content/"} <= collections
        assert len(ENDPOINTS) >= 18


@pytest.mark.parametrize(("path", "method"), ENDPOINTS)
class AnEndpoint:
    def test_is_404_to_whoever_does_not_belong_staff_too(self, as_user, acmes, acme, carol, erin, path, method):
        for user in (carol, erin):
            answers = [self.ask(as_user(user), path, method, slug, acmes).status_code for slug in ("acme", "nowhere")]
            assert answers == [404, 404], user

    def test_is_401_to_nobody_whatever_the_slug(self, api, acmes, path, method):
        slugs = ("acme", "nowhere", "%00", "a'--", "A" * 80)
        answers = {slug: self.ask(api, path, method, slug, acmes).status_code for slug in slugs}
        assert answers == dict.fromkeys(slugs, 401)

    def test_answers_the_same_for_a_foreign_and_an_unknown_tenant(self, as_user, acmes, carol, path, method):
        client = as_user(carol)
        client.defaults["HTTP_X_REQUEST_ID"] = "the-same-in-both"
        foreign, unknown = (self.ask(client, path, method, slug, acmes) for slug in ("acme", "nowhere"))
        assert foreign.content == unknown.content

    def ask(self, client, path, method, slug, ids):
        names = {"slug": slug}
        if (path, method) in WITH_AN_ID:
            names |= {"id": for_path(path, ids), "user_id": for_path(path, ids)}
        return send(client, path, method, **names)


@pytest.fixture
def globexs(globex, carol, dave):
    """What globex has, of which anything may be changed and deleted."""
    with use_tenant(globex):
        file = store_upload("mine.txt", [b"globex's own"], "text/markdown", carol.pk)
        document = Document.objects.create(title="Mine", owner_id=carol.pk)
    return {
        "files": file,
        "documents": document,
        "members": member(globex, dave),
        "invitations": invitation(globex, "erin@example.com"),
    }


def invitation(tenant, email):
    return Invitation.objects.create(tenant=tenant, email=email, expires_at=timezone.now() + WEEK)


def member(tenant, user):
    return UserTenantAssociation.objects.get_or_create(tenant=tenant, user=user, defaults={"role": Role.MEMBER})[0]


@pytest.mark.parametrize(("path", "method"), WITH_AN_ID)
class AnId:
    @pytest.fixture
    def theirs(self, acmes, acme, bob):
        with use_tenant(acme):
            file, document = File.objects.get(), Document.objects.get()
        invited = Invitation.objects.get(tenant=acme)
        return {"files": file, "documents": document, "members": member(acme, bob), "invitations": invited}

    def test_of_another_tenant_gives_nothing_away(self, as_user, theirs, globexs, acme, globex, carol, path, method):
        if path == FROM_THE_TRASH:
            for tenant in (acme, globex):
                with use_tenant(tenant):
                    Document.objects.update(deleted_at=timezone.now())
        assert_isolated(
            as_user(carol),
            method,
            path.format(slug="{tenant}", id="{object.pk}", user_id="{object.user_id}", number=1),
            own=for_path(path, globexs),
            foreign=for_path(path, theirs),
            data=BODY if method in {"put", "patch"} else None,
        )

    def test_of_nothing_is_404(self, as_user, carol, path, method):
        nothing = uuid4()
        assert send(as_user(carol), path, method, slug="globex", id=nothing, user_id=nothing).status_code == 404


class ABody:
    DOCUMENTS = "/api/v1/tenants/globex/documents/"

    def test_may_not_name_documents_of_another_tenant(self, as_user, acmes, acme, globex, carol):
        client = as_user(carol)
        own = client.post(self.DOCUMENTS, {"title": "Mine"}).json()["id"]
        for ids in ([str(acmes["documents"])], [own, str(acmes["documents"])]):
            assert client.post(f"{self.DOCUMENTS}bulk-delete/", {"ids": ids}).status_code == 404
        for tenant in (acme, globex):
            with use_tenant(tenant):
                assert Document.objects.get().deleted_at is None

    def test_may_not_name_a_file_of_another_tenant(self, as_user, acmes, globex, carol):
        client = as_user(carol)
        own = client.post(self.DOCUMENTS, {"title": "Mine"}).json()["id"]
        body = {"title": "Theirs", "file": str(acmes["files"])}
        assert client.post(self.DOCUMENTS, body).status_code == 404
        assert client.put(f"{self.DOCUMENTS}{own}/", body).status_code == 404
        assert client.patch(f"{self.DOCUMENTS}{own}/", body).status_code == 404
        assert client.post(f"{self.DOCUMENTS}bulk/", {"documents": [{"title": "Mine"}, body]}).status_code == 404
        with use_tenant(globex):
            assert Document.objects.get().file_id is None

    def test_may_not_move_a_document(self, as_user, acmes, globex, carol, acme):
        body = {"title": "Moved", "id": str(acmes["documents"]), "tenant": "acme", "slug": "acme"}
        made = as_user(carol).post(self.DOCUMENTS, body)
        assert made.json()["id"] != str(acmes["documents"])
        with use_tenant(acme):
            assert Document.objects.get().title == "Secret"


class AQuery:
    @pytest.mark.parametrize("collection", ["files", "documents", "members", "invitations"])
    def test_never_shows_another_tenants_rows(self, as_user, acmes, carol, collection):
        path = f"/api/v1/tenants/globex/{collection}/"
        asked = {"tenant": "acme", "slug": "acme", "id": str(acmes[collection]), "ordering": "tenant__slug"}
        rows = as_user(carol).get(path, asked).json()["results"]
        assert str(acmes[collection]) not in {row.get("id", row.get("user_id")) for row in rows}

    def test_cannot_use_a_page_of_another_tenants_list(self, as_user, acmes, bob, carol):
        client = as_user(bob)
        client.post("/api/v1/tenants/acme/documents/", {"title": "Second"})
        following = client.get("/api/v1/tenants/acme/documents/", {"page_size": 1}).json()["next"]
        replayed = as_user(carol).get(following.replace("/acme/", "/globex/"))
        assert replayed.json()["results"] == []


class AnotherNameForATenant:
    """Cases 31 and 32: a header or a host beside the path changes nothing for the better."""

    @pytest.mark.parametrize("header", ["HTTP_X_TENANT", "HTTP_X_FORWARDED_HOST"])
    def test_in_a_header_gives_no_way_in(self, as_user, acmes, carol, header):
        client = as_user(carol)
        assert client.get("/api/v1/tenants/acme/documents/", **{header: "globex"}).status_code == 404
        rows = client.get("/api/v1/tenants/globex/documents/", HTTP_X_FORWARDED_HOST="acme").json()["results"]
        assert rows == []

    def test_contradicting_the_path_is_404(self, as_user, acme, carol):
        reply = as_user(carol).get("/api/v1/tenants/globex/documents/", HTTP_X_TENANT="acme")
        assert reply.status_code == 404

    def test_in_the_host_gives_no_way_in(self, as_user, acmes, carol, settings):
        settings.TENANT_DOMAIN, settings.ALLOWED_HOSTS = "silo.example", [".silo.example"]
        client = as_user(carol)
        assert client.get("/api/v1/tenants/globex/documents/", HTTP_HOST="acme.silo.example").status_code == 404
        assert client.get("/api/v1/me/", HTTP_HOST="nowhere.silo.example").status_code == 404
