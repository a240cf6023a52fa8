"""ETags: what is known is not sent again, and a change holds only for what its sender has seen."""

import threading
from contextlib import closing

import psycopg2
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from rest_framework.test import APIClient

from accounts.models import Token, User
from tenant_data.api.document_serializers import DocumentSerializer
from tenant_data.models import File
from tenants.api.serializers import ChangedTenantSerializer, MemberSerializer
from tenants.models import Role, UserTenantAssociation

ACME = "/api/v1/tenants/acme/"
ROUNDS = 4


@pytest.fixture
def client(as_user, alice, acme):
    return as_user(alice)


@pytest.fixture
def document(client):
    return f"{ACME}documents/{client.post(f'{ACME}documents/', {'title': 'Minutes'}).json()['id']}/"


@pytest.fixture
def file(client):
    sent = {"file": SimpleUploadedFile("a.txt", b"a", "text/plain")}
    return f"{ACME}files/{client.post(f'{ACME}files/', sent, format='multipart').json()['id']}/"


@pytest.fixture(params=["tenant", "member", "document", "file"])
def address(request, bob):
    fixed = {"tenant": ACME, "member": f"{ACME}members/{bob.pk}/"}
    return fixed.get(request.param) or request.getfixturevalue(request.param)


class Reading:
    def test_gives_an_etag_and_then_nothing_new(self, client, address):
        first = client.get(address)
        again = client.get(address, HTTP_IF_NONE_MATCH=f'"other", W/{first["ETag"]}')
        assert (first.status_code, again.status_code) == (200, 304)
        assert again["ETag"] == first["ETag"]
        assert again.content == b""

    def test_gives_all_where_another_state_is_known(self, client, address):
        assert client.get(address, HTTP_IF_NONE_MATCH='"other"').status_code == 200


class Changing:
    CHANGES = {"tenant": {"name": "Other"}, "document": {"title": "Other"}, "member": {"role": "viewer"}}

    @pytest.fixture(params=CHANGES)
    def change(self, request, bob, document):
        """Where, and what is sent there."""
        places = {"tenant": ACME, "document": document, "member": f"{ACME}members/{bob.pk}/"}
        return places[request.param], self.CHANGES[request.param]

    def test_of_what_was_seen_gives_the_new_etag(self, client, change):
        address, body = change
        seen = client.get(address)["ETag"]
        reply = client.patch(address, body, HTTP_IF_MATCH=f'"other", {seen}')
        assert reply.status_code == 200
        assert reply["ETag"] == client.get(address)["ETag"] != seen

    def test_of_what_has_changed_since_is_412_and_changes_nothing(self, client, change):
        address, body = change
        seen = client.get(address)["ETag"]
        client.patch(address, body)
        now = client.get(address)
        lost = client.patch(address, dict.fromkeys(body, "owner"), HTTP_IF_MATCH=seen)
        assert (lost.status_code, lost.json()["code"]) == (412, "precondition_failed")
        assert client.get(address).json() == now.json()

    @pytest.mark.parametrize("sent", ["W/{}", "nonsense", ""])
    def test_is_412_with_what_is_no_strong_etag(self, client, document, sent):
        seen = client.get(document)["ETag"]
        assert client.patch(document, {"title": "x"}, HTTP_IF_MATCH=sent.format(seen)).status_code == 412

    def test_of_whatever_is_there_needs_a_star_or_nothing(self, client, document):
        assert client.put(document, {"title": "x"}, HTTP_IF_MATCH="*").status_code == 200
        assert client.put(document, {"title": "y"}).status_code == 200

    def test_is_404_with_a_file_deleted_after_it_was_looked_up(self, client, document, file, monkeypatch):
        def file_goes_first(serializer, instance, fields):
            File.objects.all().delete()
            instance.file_id = fields["file"].pk
            instance.save()
            return instance

        monkeypatch.setattr(DocumentSerializer, "update", file_goes_first)
        assert client.patch(document, {"file": file.split("/")[-2]}).status_code == 404


class Deleting:
    @pytest.fixture(params=["member", "document", "file"])
    def address(self, request, bob):
        return f"{ACME}members/{bob.pk}/" if request.param == "member" else request.getfixturevalue(request.param)

    def test_of_what_has_changed_is_412_and_deletes_nothing(self, client, address):
        assert client.delete(address, HTTP_IF_MATCH='"other"').status_code == 412
        assert client.get(address).status_code == 200

    def test_of_what_was_seen_deletes_it(self, client, address):
        assert client.delete(address, HTTP_IF_MATCH=client.get(address)["ETag"]).status_code == 204


class BetweenTheComparisonAndTheChange:
    """Somebody else finds the row locked; looked at from a second session, while the first validates."""

    def tried(self, monkeypatch, serializer, alias, table, pk):
        outcome = []
        validate = serializer.to_internal_value

        def look(self, data):
            with closing(psycopg2.connect(**connections[alias].get_connection_params())) as other:
                try:
                    with other.cursor() as cursor:
                        cursor.execute(f"SELECT 1 FROM {table} WHERE id = %s FOR NO KEY UPDATE NOWAIT", [str(pk)])
                    outcome.append("free")
                except psycopg2.errors.LockNotAvailable:
                    outcome.append("locked")
            return validate(self, data)

        monkeypatch.setattr(serializer, "to_internal_value", look)
        return outcome

    def test_a_tenant_cannot_change(self, client, acme, monkeypatch):
        outcome = self.tried(monkeypatch, ChangedTenantSerializer, "default", "tenants_tenant", acme.pk)
        assert client.patch(ACME, {"name": "x"}, HTTP_IF_MATCH="*").status_code == 200
        assert outcome == ["locked"]

    def test_a_tenants_members_cannot_change(self, client, acme, bob, monkeypatch):
        outcome = self.tried(monkeypatch, MemberSerializer, "default", "tenants_tenant", acme.pk)
        assert client.patch(f"{ACME}members/{bob.pk}/", {"role": "viewer"}).status_code == 200
        assert outcome == ["locked"]

    def test_a_document_cannot_change(self, client, acme, document, monkeypatch):
        outcome = self.tried(
            monkeypatch, DocumentSerializer, acme.alias, "tenant_data_document", document.split("/")[-2]
        )
        assert client.patch(document, {"title": "x"}).status_code == 200
        assert outcome == ["locked"]


class TwoWhoChangeWhatBothHaveSeen:
    def test_are_told_apart_each_time(self, fleet):
        (initech,) = fleet.make("initech")
        peter = User.objects.create_user("peter@example.com")
        UserTenantAssociation.objects.create(user=peter, tenant=initech, role=Role.OWNER)
        _, token = Token.objects.create(user=peter)
        client = APIClient(HTTP_AUTHORIZATION=f"Token {token}")
        documents = "/api/v1/tenants/initech/documents/"
        address = f"{documents}{client.post(documents, {'title': '0'}).json()['id']}/"
        for number in range(ROUNDS):
            outcomes = self.both_change(client, address, f"this {number}", f"that {number}")
            assert set(outcomes) == {200, 412}
            assert client.get(address).json()["title"] == outcomes[200]

    def both_change(self, client, address, *titles):
        """By status, the title that was sent. None is what it is already: that would change nothing."""
        seen, start, outcomes = client.get(address)["ETag"], threading.Barrier(2), {}

        def change(title):
            start.wait()
            outcomes[client.patch(address, {"title": title}, HTTP_IF_MATCH=seen).status_code] = title
            connections.close_all()

        threads = [threading.Thread(target=change, args=[title]) for title in titles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes
