"""What documents were: kept, shown, compared and restored, over HTTP."""

import threading

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections

from tenant_data.comparison import MAX_LINES
from tenant_data.documents import change
from tenant_data.models import Document
from tenants.context import required_alias, tenant_atomic, use_tenant
from tenants.models import UserTenantAssociation
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/tenants/acme/documents/"


@pytest.fixture
def client(as_user, bob, acme):
    return as_user(bob)


@pytest.fixture
def minutes(client):
    """Three versions; the path of the document."""
    made = client.post(DOCUMENTS, {"title": "Minutes", "body": "We met.\nAll agreed.", "tags": ["board"]}).json()
    path = f"{DOCUMENTS}{made['id']}/"
    client.patch(path, {"body": "We met.\nNobody agreed."})
    client.patch(path, {"title": "Quarrel", "tags": []})
    return path


def somebody_waits_for_me():
    with connections[required_alias()].cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")
        return cursor.rowcount


class AChange:
    def test_keeps_what_was_before(self, client, minutes, bob):
        listed = client.get(f"{minutes}versions/").json()["results"]
        assert [(row["number"], row["title"], row["tags"]) for row in listed] == [
            (2, "Minutes", ["board"]),
            (1, "Minutes", ["board"]),
        ]
        first = client.get(f"{minutes}versions/1/").json()
        assert (first["body"], first["editor_id"]) == ("We met.\nAll agreed.", str(bob.pk))
        now = client.get(minutes).json()
        assert (now["version"], now["title"]) == (3, "Quarrel")
        assert client.get(f"{minutes}versions/3/").json()["written_at"] == now["updated_at"]

    def test_of_nothing_writes_nothing(self, client, minutes):
        before = client.get(minutes).json()
        assert client.patch(minutes, {"title": "Quarrel", "tags": []}).json() == before

    def test_says_who_made_it(self, client, as_user, alice, bob, minutes):
        changed = as_user(alice).patch(minutes, {"body": ""}).json()
        assert (changed["owner_id"], changed["editor_id"]) == (str(bob.pk), str(alice.pk))

    def test_waits_for_another_to_end_so_that_none_is_lost(self, client, minutes, acme):
        """Both would read version 3, and write version 4."""
        held = threading.Event()

        def change_first():
            with use_tenant(acme), tenant_atomic():
                document = Document.objects.select_for_update().get()
                held.set()
                wait_until(somebody_waits_for_me)
                change(document, None, body="First.")

        other = threading.Thread(target=change_first)
        other.start()
        held.wait()
        changed = client.patch(minutes, {"body": "Second."})
        other.join()
        assert (changed.status_code, changed.json()["version"]) == (200, 5)
        assert client.get(f"{minutes}versions/4/").json()["body"] == "First."


class Comparing:
    def test_shows_what_changed(self, client, minutes):
        compared = client.get(f"{minutes}versions/1/comparison/").json()
        assert (compared["before"], compared["after"]) == (1, 3)
        assert compared["changed"] == ["title", "body", "tags"]
        assert compared["diff"].splitlines() == [
            "--- version 1",
            "+++ version 3",
            "@@ -1,2 +1,2 @@",
            " We met.",
            "-All agreed.",
            "+Nobody agreed.",
        ]

    def test_takes_any_two(self, client, minutes):
        compared = client.get(f"{minutes}versions/3/comparison/", {"with": 2}).json()
        assert (compared["before"], compared["after"], compared["diff"]) == (3, 2, "")

    def test_is_refused_where_it_would_take_for_ever(self, client, minutes):
        client.patch(minutes, {"body": "\n".join(map(str, range(MAX_LINES + 1)))})
        refused = client.get(f"{minutes}versions/1/comparison/")
        assert (refused.status_code, refused.json()["code"]) == (422, "too_long_to_compare")

    @pytest.mark.parametrize("number", ["no-number", "1.5"])
    def test_refuses_what_is_no_number(self, client, minutes, number):
        assert client.get(f"{minutes}versions/1/comparison/", {"with": number}).status_code == 400


class Restoring:
    def test_is_one_more_version(self, client, minutes):
        restored = client.post(f"{minutes}versions/1/restore/").json()
        assert (restored["title"], restored["body"], restored["tags"]) == ("Minutes", "We met.\nAll agreed.", ["board"])
        assert restored["version"] == 4
        assert client.get(f"{minutes}versions/3/").json()["title"] == "Quarrel"

    def test_does_without_a_file_that_has_been_deleted(self, client, minutes):
        sent = {"file": SimpleUploadedFile("a.txt", b"a", "text/plain")}
        file = client.post("/api/v1/tenants/acme/files/", sent, format="multipart").json()["id"]
        assert client.patch(minutes, {"file": file}).json()["file"] == file
        assert client.patch(minutes, {"file": None}).status_code == 200
        assert client.post(f"{minutes}versions/4/restore/").json()["file"] == file
        assert client.delete(f"/api/v1/tenants/acme/files/{file}/").status_code == 409
        client.patch(minutes, {"file": None})
        assert client.delete(f"/api/v1/tenants/acme/files/{file}/").status_code == 204
        assert client.post(f"{minutes}versions/4/restore/").json()["file"] is None


class AVersion:
    @pytest.mark.parametrize("number", [0, 4, 10**20])
    def test_that_never_was_is_404(self, client, minutes, number):
        assert client.get(f"{minutes}versions/{number}/").status_code == 404
        assert client.get(f"{minutes}versions/1/comparison/", {"with": number}).status_code == 404
        assert client.post(f"{minutes}versions/{number}/restore/").status_code == 404

    def test_is_denied_to_nobody_and_restored_by_no_viewer(self, api, client, bob, minutes):
        for path in ("versions/", "versions/1/", "versions/1/comparison/"):
            assert api.get(f"{minutes}{path}").status_code == 401
        UserTenantAssociation.objects.filter(user=bob).update(role="viewer")
        assert client.get(f"{minutes}versions/1/").status_code == 200
        assert client.post(f"{minutes}versions/1/restore/").status_code == 403
