"""A POST that is sent again with its ``Idempotency-Key``: it is done once, whatever became of the first reply."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections
from django.utils import timezone
from rest_framework.parsers import FileUploadParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

from accounts.models import Token, User
from tenant_data.api.documents import DocumentsView
from tenant_data.models import Document, File
from tenants.api import idempotency
from tenants.context import use_tenant
from tenants.models import KeptReply, Role, UserTenantAssociation

DOCUMENTS = "/api/v1/tenants/acme/documents/"
FILES = "/api/v1/tenants/acme/files/"
MEMBERS = "/api/v1/tenants/acme/members/"
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
SENDERS = 6


class Killed(BaseException):
    """Like a kill, nothing on the way out takes notice of it."""


def killed(*_, **__):
    raise Killed


@pytest.fixture
def client(as_user, alice, acme):
    return as_user(alice)


def send(client, title="Minutes", key=KEY, path=DOCUMENTS):
    return client.post(path, {"title": title}, HTTP_IDEMPOTENCY_KEY=key)


def documents(acme):
    with use_tenant(acme):
        return Document.objects.count()


class SentAgain:
    def test_a_request_is_done_once_and_gets_the_first_reply(self, client, acme):
        first, again = send(client), send(client)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.content == first.content
        assert again["Content-Type"] == first["Content-Type"]
        assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
        assert documents(acme) == 1

    def test_it_may_be_spelt_differently(self, client, acme):
        spellings = '{"title": "a", "body": "b"}', '{ "body":"b","title":"\\u0061" }'
        for body in spellings:
            reply = client.post(DOCUMENTS, body, content_type="application/json", HTTP_IDEMPOTENCY_KEY=KEY)
            assert reply.status_code == 201
        assert documents(acme) == 1

    def test_it_is_done_again_with_another_key_and_with_none(self, client, acme):
        for key in ({"HTTP_IDEMPOTENCY_KEY": KEY}, {"HTTP_IDEMPOTENCY_KEY": "another"}, {}, {}):
            assert client.post(DOCUMENTS, {"title": "Minutes"}, **key).status_code == 201
        assert documents(acme) == 4

    def test_with_another_body_or_elsewhere_it_is_refused(self, client, acme, dave):
        send(client)
        invitation = {"email": dave.email, "role": "viewer"}
        for refused in (send(client, title="Other"), client.post(MEMBERS, invitation, HTTP_IDEMPOTENCY_KEY=KEY)):
            assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
        assert documents(acme) == 1

    def test_a_key_is_ones_own_in_each_tenant(self, client, as_user, acme, globex, alice, bob):
        UserTenantAssociation.objects.create(user=alice, tenant=globex, role=Role.OWNER)
        ids = {send(client).json()["id"], send(as_user(bob)).json()["id"]}
        ids.add(send(client, path=DOCUMENTS.replace("acme", "globex")).json()["id"])
        assert len(ids) == 3

    def test_it_is_done_once_outside_all_tenants_too(self, as_user, erin):
        client, server = as_user(erin), {"name": "eu-1", "host": "10.0.0.7"}
        replies = [client.post("/api/v1/fleet/servers/", server, HTTP_IDEMPOTENCY_KEY=KEY) for _ in range(2)]
        assert [reply.status_code for reply in replies] == [201, 201]
        assert replies[0].json() == replies[1].json()

    def test_whoever_may_no_longer_ask_gets_no_reply(self, client, alice):
        send(client)
        UserTenantAssociation.objects.filter(user=alice).update(role="viewer")
        assert send(client).status_code == 403
        UserTenantAssociation.objects.filter(user=alice).delete()
        assert send(client).status_code == 404

    def test_what_was_refused_may_be_mended_under_its_key(self, client, acme):
        assert send(client, title="").status_code == 400
        assert send(client).status_code == 201

    def test_a_fault_leaves_the_key_free(self, client, acme, monkeypatch):
        def breaks(view, serializer):
            raise RuntimeError

        with monkeypatch.context() as broken:
            broken.setattr(DocumentsView, "perform_create", breaks)
            with pytest.raises(RuntimeError):
                send(client)
        assert send(client).status_code == 201

    def test_after_a_day_it_is_done_again(self, client, acme):
        send(client)
        KeptReply.objects.update(claimed_at=timezone.now() - timedelta(hours=24, seconds=1))
        assert send(client, title="Other").status_code == 201
        assert KeptReply.objects.count() == 1

    @pytest.mark.parametrize("key", ["", "a b", "a" * 256, "\x7f", "ä"])
    def test_a_key_has_visible_characters_only(self, client, key):
        refused = send(client, key=key)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_idempotency_key")

    def test_reading_heeds_no_key(self, client):
        assert client.get(DOCUMENTS, HTTP_IDEMPOTENCY_KEY=KEY).status_code == 200
        assert not KeptReply.objects.exists()


class AnUpload:
    def upload(self, client, content=b"hello", **headers):
        sent = {"file": SimpleUploadedFile("a.txt", content, "text/plain")}
        return client.post(FILES, sent, format="multipart", HTTP_IDEMPOTENCY_KEY=KEY, **headers)

    def test_is_kept_once(self, client, acme):
        assert self.upload(client).json() == self.upload(client).json()
        with use_tenant(acme):
            assert File.objects.count() == 1

    def test_of_another_length_is_another(self, client):
        self.upload(client)
        assert self.upload(client, b"hello world").status_code == 422

    def test_of_the_same_length_is_told_apart_by_its_digest(self, client):
        self.upload(client, b"hello", HTTP_CONTENT_DIGEST="sha-256=:a:")
        assert self.upload(client, b"jelly", HTTP_CONTENT_DIGEST="sha-256=:b:").status_code == 422

    def test_is_claimed_before_any_of_it_is_read(self, client, monkeypatch):
        monkeypatch.setattr(Request, "_parse", killed)
        with pytest.raises(Killed):
            self.upload(client)
        assert KeptReply.objects.get().status is None


class AFileOfJson:
    """Sent as the body itself, to a view that takes it as a stream: not to be parsed to be told from another."""

    class Uploads(idempotency.Idempotent):
        permission_classes = (IsAuthenticated,)
        parser_classes = (FileUploadParser,)

        def post(self, request):
            return Response({"first": request.stream.read(1).decode()}, status=201)

    def test_is_left_to_the_view(self, alice):
        sent = APIRequestFactory().generic("POST", "/", "[not json", "application/json", HTTP_IDEMPOTENCY_KEY=KEY)
        force_authenticate(sent, alice)
        assert self.Uploads.as_view()(sent).data == {"first": "["}


class KilledOnTheWay:
    def kill_at(self, client, monkeypatch, room, name):
        with monkeypatch.context() as broken:
            broken.setattr(room, name, killed)
            with pytest.raises(Killed):
                send(client)

    def a_lease_later(self):
        KeptReply.objects.update(claimed_at=timezone.now() - timedelta(minutes=5, seconds=1))

    def test_before_its_claim_it_is_done_at_once(self, client, acme, monkeypatch):
        self.kill_at(client, monkeypatch, idempotency, "claim")
        assert send(client).status_code == 201

    def test_before_its_effect_it_is_done_once_when_the_claim_has_ended(self, client, acme, monkeypatch):
        self.kill_at(client, monkeypatch, DocumentsView, "perform_create")
        waits = send(client)
        assert (waits.status_code, waits.json()["code"]) == (409, "idempotency_key_in_use")
        assert 0 < int(waits["Retry-After"]) <= 300
        assert send(client, title="Other").status_code == 422
        self.a_lease_later()
        assert send(client).status_code == 201
        assert documents(acme) == 1

    def test_before_its_reply_is_kept_it_is_done_again_as_the_paper_says(self, client, acme, monkeypatch):
        self.kill_at(client, monkeypatch, idempotency, "keep")
        assert send(client).status_code == 409
        self.a_lease_later()
        assert send(client).status_code == 201
        assert documents(acme) == 2

    def test_what_was_only_slow_keeps_no_reply_over_another(self, client, alice, acme):
        slow = idempotency.claim(alice.pk, acme.pk, KEY, "the same")
        self.a_lease_later()
        taken = idempotency.claim(alice.pk, acme.pk, KEY, "the same")
        idempotency.keep(slow, KEY, client.get("/healthz"))
        kept = KeptReply.objects.get()
        assert (kept.claim, kept.status) == (taken.claim, None)


class SentManyTimesAtOnce:
    def test_a_request_is_done_once(self, fleet):
        (initech,) = fleet.make("initech")
        peter = User.objects.create_user("peter@example.com")
        UserTenantAssociation.objects.create(user=peter, tenant=initech, role=Role.OWNER)
        _, token = Token.objects.create(user=peter)
        client, start, statuses = APIClient(HTTP_AUTHORIZATION=f"Token {token}"), threading.Barrier(SENDERS), []

        def post():
            start.wait()
            statuses.append(send(client, path=DOCUMENTS.replace("acme", "initech")).status_code)
            connections.close_all()

        threads = [threading.Thread(target=post) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) <= {201, 409}
        assert 201 in statuses
        assert documents(initech) == 1


class WhatIsKept:
    def test_does_not_lie_open_in_main(self, client):
        send(client, title="A secret of acme")
        with connection.cursor() as cursor:
            cursor.execute("SELECT convert_from(body, 'UTF8') || headers::text || key_hash FROM tenants_keptreply")
            (text,) = cursor.fetchone()
        assert "secret" not in text
        assert KEY not in text

    def test_is_forgotten_after_a_day(self, client, alice):
        old = timezone.now() - timedelta(hours=25)
        KeptReply.objects.bulk_create(
            KeptReply(user=alice, key_hash=uuid4().hex, fingerprint="x", claimed_at=old) for _ in range(3)
        )
        send(client)
        assert KeptReply.objects.count() == 1
