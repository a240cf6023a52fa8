"""Writing, reading, changing and deleting documents, over HTTP."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tenant_data.models import Document, File
from tenants.context import use_tenant
from tenants.models import UserTenantAssociation

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/tenants/acme/documents/"


@pytest.fixture
def client(as_user, bob, acme):
    return as_user(bob)


@pytest.fixture
def minutes(client):
    return client.post(DOCUMENTS, {"title": "Minutes", "body": "We met."}).json()


@pytest.fixture
def file_id(client):
    sent = {"file": SimpleUploadedFile("a.txt", b"a", "text/plain")}
    return client.post("/api/v1/tenants/acme/files/", sent, format="multipart").json()["id"]


class Writing:
    def test_keeps_the_document_in_the_tenants_database(self, client, acme, globex, bob, minutes):
        with use_tenant(acme):
            assert Document.objects.get().owner_id == bob.pk
        with use_tenant(globex):
            assert not Document.objects.exists()

    def test_replies_with_all_of_it(self, minutes):
        texts, people = {"title", "body", "tags", "file", "version"}, {"owner_id", "editor_id"}
        assert set(minutes) == {"id", "created_at", "updated_at", "deleted_at"} | texts | people
        assert minutes["created_at"].endswith("Z")

    def test_may_name_a_file_of_the_tenant(self, client, file_id):
        assert client.post(DOCUMENTS, {"title": "With it", "file": file_id}).json()["file"] == file_id

    def test_takes_nobodys_word_for_the_owner(self, client, alice, bob):
        made = client.post(DOCUMENTS, {"title": "Mine", "owner_id": str(alice.pk), "id": str(alice.pk)}).json()
        assert made["owner_id"] == str(bob.pk)
        assert made["id"] != str(alice.pk)

    @pytest.mark.parametrize(
        "body", [{}, {"title": ""}, {"title": "a" * 201}, {"title": "a\0"}, {"title": "a", "file": "no id"}, []]
    )
    def test_refuses_what_is_no_document(self, client, body):
        assert client.post(DOCUMENTS, body).status_code == 400

    def test_refuses_half_a_character(self, client):
        refused = client.post(DOCUMENTS, '{"title": "\\ud800"}', content_type="application/json")
        assert refused.status_code == 400

    def test_is_404_with_a_file_that_is_not_there(self, client, minutes):
        body = {"title": "x", "file": minutes["id"]}
        assert client.post(DOCUMENTS, body).status_code == 404
        assert client.patch(f"{DOCUMENTS}{minutes['id']}/", body).status_code == 404

    def test_is_404_with_a_file_deleted_after_it_was_looked_up(self, client, acme, file_id, monkeypatch):
        from tenant_data.api.documents import DocumentsView

        save = DocumentsView.perform_create

        def file_goes_first(view, serializer):
            File.objects.all().delete()
            save(view, serializer)

        monkeypatch.setattr(DocumentsView, "perform_create", file_goes_first)
        assert client.post(DOCUMENTS, {"title": "Late", "file": file_id}).status_code == 404


class Reading:
    def test_lists_the_newest_first_in_pages(self, client):
        for number in range(3):
            client.post(DOCUMENTS, {"title": f"Number {number}"})
        first = client.get(DOCUMENTS, {"page_size": 2}).json()
        second = client.get(first["next"]).json()
        titles = [row["title"] for page in (first, second) for row in page["results"]]
        assert titles == ["Number 2", "Number 1", "Number 0"]
        assert second["next"] is None
        assert second["previous"] is not None

    def test_shows_one(self, client, minutes):
        assert client.get(f"{DOCUMENTS}{minutes['id']}/").json() == minutes

    def test_is_404_where_there_is_none(self, client, bob):
        assert client.get(f"{DOCUMENTS}{bob.pk}/").status_code == 404
        assert client.get(f"{DOCUMENTS}no-id/").status_code == 404


class Changing:
    def test_replaces_all_with_put(self, client, minutes, file_id):
        client.patch(f"{DOCUMENTS}{minutes['id']}/", {"file": file_id})
        changed = client.put(f"{DOCUMENTS}{minutes['id']}/", {"title": "Other"}).json()
        assert (changed["title"], changed["file"], changed["owner_id"]) == ("Other", None, minutes["owner_id"])

    def test_changes_a_part_with_patch(self, client, minutes, file_id):
        client.patch(f"{DOCUMENTS}{minutes['id']}/", {"file": file_id})
        changed = client.patch(f"{DOCUMENTS}{minutes['id']}/", {"body": "We parted."}).json()
        assert (changed["title"], changed["body"], changed["file"]) == ("Minutes", "We parted.", file_id)
        assert changed["updated_at"] > minutes["updated_at"]

    def test_deletes(self, client, minutes):
        assert client.delete(f"{DOCUMENTS}{minutes['id']}/").status_code == 204
        assert client.get(DOCUMENTS).json()["results"] == []


class Access:
    METHODS = ("put", "patch", "delete")

    def test_is_denied_to_nobody(self, api, minutes):
        assert api.get(DOCUMENTS).status_code == 401
        assert api.post(DOCUMENTS, {"title": "x"}).status_code == 401
        assert api.get(f"{DOCUMENTS}{minutes['id']}/").status_code == 401
        for method in self.METHODS:
            assert getattr(api, method)(f"{DOCUMENTS}{minutes['id']}/", {"title": "x"}).status_code == 401

    def test_is_for_reading_only_to_viewers(self, client, bob, minutes):
        UserTenantAssociation.objects.filter(user=bob).update(role="viewer")
        assert client.get(f"{DOCUMENTS}{minutes['id']}/").status_code == 200
        assert client.post(DOCUMENTS, {"title": "x"}).status_code == 403
        for method in self.METHODS:
            assert getattr(client, method)(f"{DOCUMENTS}{minutes['id']}/", {"title": "x"}).status_code == 403
