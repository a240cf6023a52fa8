"""Uploading, listing, downloading and deleting files, over HTTP, and what lies on disk meanwhile."""

import hashlib
import io
import threading
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tenant_data import storage
from tenant_data.errors import FileNameError
from tenant_data.files import delete_file, store_upload
from tenant_data.models import File
from tenant_data.names import display_name
from tenants.context import use_tenant
from tenants.models import UserTenantAssociation
from tests.support.problems import wrong_fields

pytestmark = pytest.mark.django_db

FILES = "/api/v1/tenants/acme/files/"


@pytest.fixture
def files_root(settings):
    return settings.TENANT_FILES_ROOT


@pytest.fixture
def client(as_user, bob, acme):
    return as_user(bob)


def upload(client, content=b"hello", name="hello.txt", content_type="text/plain", path=FILES):
    return client.post(path, {"file": SimpleUploadedFile(name, content, content_type)}, format="multipart")


def stored(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


class Uploading:
    def test_keeps_the_content_under_its_hash(self, client, acme, bob, files_root):
        reply = upload(client)
        digest = hashlib.sha256(b"hello").hexdigest()
        assert reply.status_code == 201
        assert {key: reply.json()[key] for key in ("name", "size", "sha256", "content_type", "owner_id")} == {
            "name": "hello.txt",
            "size": 5,
            "sha256": digest,
            "content_type": "text/plain",
            "owner_id": str(bob.pk),
        }
        assert stored(files_root) == [files_root / acme.alias / digest[:2] / digest]

    def test_stores_the_same_content_once(self, client, files_root):
        assert upload(client, name="a.txt").json()["id"] != upload(client, name="b.txt").json()["id"]
        assert len(stored(files_root)) == 1

    def test_takes_a_large_file(self, client):
        content = bytes(range(256)) * 16 * 1024
        reply = upload(client, content=content, name="large.bin")
        assert reply.json()["sha256"] == hashlib.sha256(content).hexdigest()
        assert b"".join(client.get(f"{FILES}{reply.json()['id']}/content/").streaming_content) == content

    def test_takes_an_empty_file(self, client):
        assert upload(client, content=b"").json()["size"] == 0

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\win.ini", "win.ini"),
            ("a\0b.txt", "ab.txt"),
            ("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt"),
            ("invoice\u202efdp.exe", "invoicefdp.exe"),
            ("a" * 300 + ".txt", "a" * 251 + ".txt"),
            ("ünï©ode 文.txt", "ünï©ode 文.txt"),
        ],
    )
    def test_makes_a_name_fit_for_display(self, acme, bob, name, shown, files_root):
        with use_tenant(acme):
            assert store_upload(name, [b"x"], "text/plain", bob.pk).name == shown
        (path,) = stored(files_root)
        assert path.name == hashlib.sha256(b"x").hexdigest()

    @pytest.mark.parametrize("name", ["", "..", ".", "/", "\0", "a/"])
    def test_refuses_what_leaves_no_name(self, name):
        with pytest.raises(FileNameError):
            display_name(name)

    def test_believes_no_content_type_that_is_none(self, acme, bob):
        with use_tenant(acme):
            assert store_upload("a", [b""], "text/html\r\nX: y", bob.pk).content_type == "application/octet-stream"

    def test_refuses_a_request_without_a_file(self, client):
        refused = client.post(FILES, {"other": "x"}, format="multipart")
        assert refused.status_code == 400
        assert wrong_fields(refused) == {"file"}
        assert client.post(FILES, {"file": "text"}, format="multipart").status_code == 400
        assert client.post(FILES, {"file": "x"}, format="json").status_code == 415

    def test_leaves_nothing_when_the_sender_breaks_off(self, acme, bob, files_root):
        def breaks_off():
            yield b"half of it"
            raise ConnectionResetError

        with use_tenant(acme), pytest.raises(ConnectionResetError):
            store_upload("a.txt", breaks_off(), "text/plain", bob.pk)
        assert stored(files_root) == []

    def test_leaves_nothing_when_the_database_refuses(self, acme, bob, files_root, monkeypatch):
        def refuses(**fields):
            raise OSError("no")

        monkeypatch.setattr(File.objects, "create", refuses)
        with use_tenant(acme), pytest.raises(OSError, match="no"):
            store_upload("a.txt", [b"x"], "text/plain", bob.pk)
        assert stored(files_root) == []

    def test_never_reads_more_than_a_chunk(self, acme, bob):
        asked = []

        class Source(io.BytesIO):
            def read(self, size=-1):
                asked.append(size)
                return super().read(size)

        with use_tenant(acme):
            assert store_upload("a", Source(b"x" * 300_000), "", bob.pk).size == 300_000
        assert 0 < max(asked) <= 1024 * 1024
        assert min(asked) > 0

    def test_is_not_for_viewers(self, client, acme, bob, files_root):
        UserTenantAssociation.objects.filter(user=bob).update(role="viewer")
        assert upload(client).status_code == 403
        assert client.get(FILES).status_code == 200
        assert stored(files_root) == []

    def test_is_denied_to_nobody(self, api, acme):
        assert upload(api).status_code == 401
        assert api.get(FILES).status_code == 401


class AnUploadCutOff:
    """What the server reads ends before, or after, the length that the sender claimed."""

    BODY = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        + b"x" * 200_000
        + b"\r\n--B--\r\n"
    )

    def send(self, client, body, length):
        sent = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(length)}
        return client.generic("POST", FILES, b"-", content_type="multipart/form-data; boundary=B", **sent)

    @pytest.mark.parametrize(
        ("sent", "length"), [(100_000, len(BODY)), (len(BODY) - 10, len(BODY)), (len(BODY), len(BODY) - 1000)]
    )
    def test_leaves_nothing(self, client, acme, files_root, sent, length):
        assert self.send(client, self.BODY[:sent], length).status_code == 400
        assert stored(files_root) == []
        with use_tenant(acme):
            assert not File.objects.exists()

    def test_arrives_when_it_is_sent_whole(self, client, files_root):
        assert self.send(client, self.BODY, len(self.BODY)).status_code == 201
        assert len(stored(files_root)) == 1


class Downloading:
    def content_of(self, client, **file):
        return client.get(f"{FILES}{upload(client, **file).json()['id']}/content/")

    def test_gives_the_content_back(self, client):
        reply = self.content_of(client)
        assert b"".join(reply.streaming_content) == b"hello"
        assert reply["Content-Length"] == "5"
        assert reply["Content-Type"] == "text/plain"

    @pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml"])
    def test_never_shows_a_page(self, client, content_type):
        reply = self.content_of(client, content=b"<script>alert(1)</script>", name="x.html", content_type=content_type)
        assert reply["Content-Type"] == "application/octet-stream"
        assert reply["Content-Disposition"] == 'attachment; filename="x.html"'
        assert reply["X-Content-Type-Options"] == "nosniff"
        assert reply["Content-Security-Policy"].startswith("sandbox")

    def test_survives_any_name(self, client):
        reply = self.content_of(client, name='a"; filename=b.exe 文.txt')
        assert reply["Content-Disposition"].startswith("attachment; filename*=utf-8''")

    def test_answers_whatever_the_client_accepts(self, client):
        path = f"{FILES}{upload(client).json()['id']}/content/"
        assert client.get(path, HTTP_ACCEPT="image/png").status_code == 200

    def test_is_404_where_the_content_is_gone(self, client, acme):
        made = upload(client).json()
        storage.remove(acme.alias, made["sha256"])
        assert client.get(f"{FILES}{made['id']}/content/").status_code == 404

    def test_is_denied_to_nobody(self, api, client):
        assert api.get(f"{FILES}{upload(client).json()['id']}/content/").status_code == 401


class Deleting:
    def test_removes_the_content_with_its_last_file(self, client, files_root):
        first, second = upload(client).json()["id"], upload(client, name="b.txt").json()["id"]
        assert client.delete(f"{FILES}{first}/").status_code == 204
        assert len(stored(files_root)) == 1
        assert client.get(f"{FILES}{first}/").status_code == 404
        assert client.delete(f"{FILES}{second}/").status_code == 204
        assert stored(files_root) == []

    def test_is_refused_while_a_document_needs_the_file(self, client, files_root):
        file = upload(client).json()["id"]
        document = client.post("/api/v1/tenants/acme/documents/", {"title": "Minutes", "file": file}).json()["id"]
        assert client.delete(f"{FILES}{file}/").status_code == 409
        assert len(stored(files_root)) == 1
        assert client.delete(f"/api/v1/tenants/acme/documents/{document}/").status_code == 204
        assert client.delete(f"{FILES}{file}/").status_code == 204

    def test_of_one_tenant_leaves_the_same_content_of_another(self, client, acme, globex, carol, files_root):
        with use_tenant(globex):
            store_upload("hello.txt", [b"hello"], "text/plain", carol.pk)
        client.delete(f"{FILES}{upload(client).json()['id']}/")
        assert [path.parent.parent.name for path in stored(files_root)] == [globex.alias]

    def test_while_the_same_is_uploaded_never_loses_the_content(self, acme, bob):
        """Many times over, one thread deletes the last file of a content as another stores it again."""
        failures = []

        def repeatedly(act):
            try:
                with use_tenant(acme):
                    for _ in range(20):
                        act()
            except Exception as error:
                failures.append(error)

        def store():
            file = store_upload("a", [b"same"], "", bob.pk)
            assert storage.path_of(acme.alias, file.sha256).exists()
            delete_file(file)

        threads = [threading.Thread(target=repeatedly, args=[store]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    def test_is_not_for_viewers(self, client, bob):
        file = upload(client).json()["id"]
        UserTenantAssociation.objects.filter(user=bob).update(role="viewer")
        assert client.delete(f"{FILES}{file}/").status_code == 403

    def test_is_denied_to_nobody(self, api, client):
        assert api.delete(f"{FILES}{upload(client).json()['id']}/").status_code == 401


class APath:
    @pytest.mark.parametrize("sha256", ["../../etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "\n"])
    def test_is_made_from_a_hash_only(self, sha256):
        with pytest.raises(ValueError, match="SHA-256"):
            storage.path_of("tenant_a", sha256)

    @pytest.mark.parametrize("alias", ["..", "a/b", "", "a\0"])
    def test_is_made_from_an_alias_only(self, alias):
        with pytest.raises(ValueError, match="alias"):
            storage.path_of(alias, "a" * 64)
