"""Uploading, downloading and deleting files, over HTTP; what they may take; and what lies on disk meanwhile."""

import errno
import hashlib
import io
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.utils.http import parse_http_date

from tenant_data.errors import FileNameError, FileTooLargeError, QuotaExceededError
from tenant_data.files import delete_file, open_file, store_upload
from tenant_data.garbage import Garbage, collect
from tenant_data.limits import used_bytes
from tenant_data.models import Allowance, File
from tenant_data.names import display_name
from tenant_data.storage.disk import path_of
from tenants.context import use_tenant
from tenants.models import Tenant, UserTenantAssociation
from tests.support.problems import wrong_fields

pytestmark = pytest.mark.django_db

FILES = "/api/v1/tenants/acme/files/"
ID = "X-Request-ID"


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
            assert store_upload("a", [b""], "text/html\r\nX: y", bob.pk).content_type == "text/plain"

    def test_refuses_a_request_without_a_file(self, client):
        refused = client.post(FILES, {"other": "x"}, format="multipart")
        assert refused.status_code == 400
        assert wrong_fields(refused) == {"file"}
        assert client.post(FILES, {"file": "text"}, format="multipart").status_code == 400
        assert client.post(FILES, {"file": "x"}, format="json").status_code == 400

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


class UploadingRaw:
    """The body is the file itself."""

    def send(self, client, content=b"%PDF-1.7 \0", query="?name=a.pdf", content_type="application/pdf", **headers):
        return client.generic("POST", FILES + query, content, content_type=content_type, **headers)

    def test_keeps_it(self, client, acme):
        reply = self.send(client)
        assert reply.status_code == 201
        assert (reply.json()["name"], reply.json()["content_type"]) == ("a.pdf", "application/pdf")
        with use_tenant(acme):
            assert path_of(acme.alias, reply.json()["sha256"]).read_bytes() == b"%PDF-1.7 \0"

    @pytest.mark.parametrize(
        ("disposition", "name"),
        [
            ('attachment; filename="a b.txt"', "a b.txt"),
            ("attachment; filename*=utf-8''%e6%96%87.txt", "文.txt"),
            ('attachment; filename="../../etc/passwd"', "passwd"),
        ],
    )
    def test_takes_the_name_from_its_disposition(self, client, disposition, name):
        assert self.send(client, query="", HTTP_CONTENT_DISPOSITION=disposition).json()["name"] == name

    @pytest.mark.parametrize("query", ["", "?name=", "?name=..", "?name=%00"])
    def test_is_refused_without_a_name(self, client, files_root, query):
        assert self.send(client, query=query).status_code == 400
        assert stored(files_root) == []

    @pytest.mark.parametrize("disposition", ["attachment; filename*=no-such-code''%00", "attachment; filename"])
    def test_is_refused_with_a_disposition_that_names_nothing(self, client, disposition):
        assert self.send(client, query="", HTTP_CONTENT_DISPOSITION=disposition).status_code == 400

    def test_takes_an_empty_file(self, client):
        assert self.send(client, b"", content_type="application/octet-stream").json()["size"] == 0

    def test_takes_what_curl_calls_a_form(self, client):
        form = "application/x-www-form-urlencoded"
        assert self.send(client, b"a=1", query="?name=a.txt", content_type=form).json()["size"] == 3

    def test_leaves_nothing_when_it_is_cut_off(self, client, files_root):
        short = {"wsgi.input": io.BytesIO(b"half"), "CONTENT_LENGTH": "8"}
        refused = self.send(client, b"-", **short)
        assert refused.status_code == 400
        assert "4 bytes are missing" in str(refused.json())
        assert stored(files_root) == []

    def test_holds_no_connection_to_the_tenant_while_it_arrives(self, client, acme):
        class Body(io.BytesIO):
            def read(self, size=-1, /):
                assert connections[acme.alias].connection is None
                return super().read(size)

        assert self.send(client, b"-", **{"wsgi.input": Body(b"content"), "CONTENT_LENGTH": "7"}).status_code == 201

    def test_needs_its_length(self, client):
        chunked = {"wsgi.input": io.BytesIO(b"content"), "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
        assert self.send(client, b"-", **chunked).status_code == 411


class UploadingInASession:
    def test_reads_the_token_from_the_header_and_never_the_body_before(self, bob, acme, settings):
        # Whoever read the body before the view would leave it no file.
        settings.FILE_UPLOAD_HANDLERS = []
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(bob)
        assert browser.post(FILES, {"file": SimpleUploadedFile("a.txt", b"a")}).status_code == 403
        browser.cookies["csrftoken"] = token = "a" * 32
        sent = browser.post(FILES, {"file": SimpleUploadedFile("a.txt", b"a")}, HTTP_X_CSRFTOKEN=token)
        assert sent.status_code == 201


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
        path_of(acme.alias, made["sha256"]).unlink()
        assert client.get(f"{FILES}{made['id']}/content/").status_code == 404

    def test_is_denied_to_nobody(self, api, client):
        assert api.get(f"{FILES}{upload(client).json()['id']}/content/").status_code == 401


class DownloadingAgain:
    """What the client has already, or a part of it, is not sent once more."""

    @pytest.fixture
    def file(self, client):
        return upload(client, b"0123456789").json()

    @pytest.fixture
    def get(self, client, file):
        return lambda method="get", **headers: getattr(client, method)(f"{FILES}{file['id']}/content/", headers=headers)

    def test_tells_what_it_is_by_its_hash_and_date(self, get, file, acme):
        whole = get()
        assert whole["ETag"] == f'"{file["sha256"]}"'
        assert whole["Accept-Ranges"] == "bytes"
        with use_tenant(acme):
            assert parse_http_date(whole["Last-Modified"]) == int(File.objects.get().created_at.timestamp())

    def test_is_304_where_it_is_still_the_same(self, get):
        whole = get()
        unchanged = get(if_none_match=f'"other", {whole["ETag"]}')
        assert (unchanged.status_code, unchanged.content, unchanged["ETag"]) == (304, b"", whole["ETag"])
        assert get("head", if_none_match=whole["ETag"]).status_code == 304
        assert get(if_none_match="*").status_code == 304
        assert get(if_modified_since=whole["Last-Modified"]).status_code == 304
        assert get(if_none_match='"other"', if_modified_since=whole["Last-Modified"]).status_code == 200
        assert get(if_modified_since="Thu, 01 Jan 1970 00:00:00 GMT").status_code == 200

    def test_is_412_where_another_was_expected(self, get):
        assert get(if_match='"other"').status_code == 412
        assert get(if_unmodified_since="Fri, 01 Jan 1971 00:00:00 GMT").status_code == 412
        assert get(if_match=get()["ETag"]).status_code == 200

    @pytest.mark.parametrize(
        ("asked", "sent"),
        [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=0-99", b"0123456789")],
    )
    def test_sends_a_part(self, get, asked, sent):
        part = get(range=asked)
        assert (part.status_code, b"".join(part.streaming_content)) == (206, sent)
        assert part["Content-Length"] == str(len(sent))
        assert part["Content-Range"].endswith("/10")
        assert part["Content-Disposition"].startswith("attachment")

    @pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "lines=1-2", "nonsense"])
    def test_sends_the_whole_where_it_is_no_single_range(self, get, asked):
        whole = get(range=asked)
        assert (whole.status_code, b"".join(whole.streaming_content)) == (200, b"0123456789")

    def test_is_416_where_there_is_no_such_part(self, get):
        refused = get(range="bytes=10-")
        assert (refused.status_code, refused["Content-Range"]) == (416, "bytes */10")

    def test_sends_a_part_only_of_what_the_client_has_the_rest_of(self, get):
        whole = get()
        assert get(range="bytes=2-4", if_range=whole["ETag"]).status_code == 206
        assert get(range="bytes=2-4", if_range=whole["Last-Modified"]).status_code == 206
        assert get(range="bytes=2-4", if_range='"other"').status_code == 200

    def test_answers_head_as_get_but_for_the_body(self, get):
        whole, head = get(), get("head")
        assert (head.status_code, head.content) == (200, b"")
        assert set(head.items()) ^ set(whole.items()) == {(ID, head[ID]), (ID, whole[ID])}
        assert get("head", range="bytes=2-4")["Content-Length"] == "10"

    def test_leaves_the_sending_to_nginx_where_it_is_told_to(self, get, file, acme, settings):
        settings.TENANT_FILES_ACCEL = "/contents/"
        sent = get(range="bytes=2-4")
        sha256 = file["sha256"]
        assert sent["X-Accel-Redirect"] == f"/contents/{acme.alias}/{sha256[:2]}/{sha256}"
        assert (sent.status_code, sent.content, sent["Content-Type"]) == (200, b"", "text/plain")
        assert sent["Content-Disposition"] == 'attachment; filename="hello.txt"'
        assert get(if_none_match=f'"{sha256}"').status_code == 304


class Limits:
    def test_refuse_a_file_by_its_length_before_reading_any_of_it(self, client, files_root, settings):
        settings.TENANT_FILE_SIZE_LIMIT = 1000
        body = Unread()
        refused = client.generic(
            "POST", f"{FILES}?name=a", b"-", **{"wsgi.input": body, "CONTENT_LENGTH": str(10 * 1024**3)}
        )
        assert (refused.status_code, body.asked) == (413, 0)
        assert "1000 bytes" in str(refused.json())

    @pytest.mark.parametrize(("size", "status"), [(1000, 201), (1001, 413)])
    def test_refuse_a_file_that_turns_out_too_large(self, client, files_root, settings, size, status):
        settings.TENANT_FILE_SIZE_LIMIT = 1000
        assert upload(client, b"x" * size).status_code == status
        assert len(stored(files_root)) == (status == 201)

    def test_refuse_what_the_tenant_has_no_room_for(self, client, files_root, settings):
        settings.TENANT_QUOTA = 1000
        assert upload(client, b"x" * 600).status_code == 201
        refused = upload(client, b"y" * 401)
        assert refused.status_code == 409
        assert "600 bytes of 1000 bytes are used" in str(refused.json())
        assert len(stored(files_root)) == 1
        assert upload(client, b"y" * 400).status_code == 201

    def test_count_a_content_once(self, client, settings, acme):
        settings.TENANT_QUOTA = 1000
        assert [upload(client, b"x" * 400).status_code for _ in range(4)] == [201] * 4
        with use_tenant(acme):
            assert used_bytes() == 400

    def test_count_what_is_deleted_no_more(self, client, settings):
        settings.TENANT_QUOTA = 1000
        first = upload(client, b"x" * 900).json()
        assert upload(client, b"y" * 900).status_code == 409
        client.delete(f"{FILES}{first['id']}/")
        assert upload(client, b"y" * 900).status_code == 201

    def test_are_said_for_one_tenant_apart(self, client, acme, globex, carol, settings, capsys):
        settings.TENANT_QUOTA = settings.TENANT_FILE_SIZE_LIMIT = 1000
        with use_tenant(acme):
            call_command("file_limits", "--quota", "1KiB", "--file-size", "0")
        assert capsys.readouterr().out == "any size a file, 1.0 KiB in all, 0 bytes used\n"
        assert upload(client, b"x" * 1024).status_code == 201
        with use_tenant(globex), pytest.raises(FileTooLargeError):
            store_upload("a", [b"x" * 1024], "", carol.pk)
        with use_tenant(acme):
            call_command("file_limits", "--quota", "default")
            assert (Allowance.objects.get().quota, Allowance.objects.get().file_size_limit) == (None, 0)

    def test_hold_when_many_upload_at_once(self, acme, bob, settings):
        """All have been let in by the time that each has arrived: only who is first may stay."""
        settings.TENANT_QUOTA = 1000
        arrived, outcomes = threading.Barrier(6), []

        def send(number):
            def chunks():
                yield f"{number}".encode() * 600
                arrived.wait()

            try:
                with use_tenant(acme):
                    outcomes.append(store_upload("a", chunks(), "", bob.pk).size)
            except QuotaExceededError:
                outcomes.append(0)

        threads = [threading.Thread(target=send, args=[number]) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == [0] * 5 + [600]


class AFullDisk:
    """The kernel refuses to let a file of this process grow: as on a full disk, a write fails half-way."""

    @contextmanager
    def at(self, size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def test_is_507_and_leaves_nothing(self, client, acme, files_root):
        # More than what pytest and the log have written themselves, which the limit is on too.
        with self.at(64 * 1024 * 1024):
            refused = client.generic("POST", f"{FILES}?name=a", bytes(65 * 1024 * 1024))
        assert refused.status_code == 507
        assert os.strerror(errno.EFBIG) not in str(refused.json())
        assert stored(files_root) == []
        with use_tenant(acme):
            assert (used_bytes(), File.objects.exists()) == (0, False)
        assert upload(client).status_code == 201


class Unread(io.BytesIO):
    """A body that counts who reads it."""

    asked = 0

    def read(self, size=-1, /):
        self.asked += 1
        return super().read(size)


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
        back = client.post(f"/api/v1/tenants/acme/documents/{document}/restore/")
        assert (back.status_code, back.json()["file"]) == (200, None)

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
            assert path_of(acme.alias, file.sha256).exists()
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


class Collecting:
    NOW = timedelta()

    @pytest.fixture
    def left(self, acme: Tenant, files_root: Path) -> Path:
        """What a process leaves that is killed while a file arrives."""
        path = files_root / acme.alias / "incoming" / "0123"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half of it")
        return path

    @pytest.fixture
    def orphan(self, acme: Tenant, bob) -> Path:
        """What one leaves that is killed before its transaction commits."""
        with use_tenant(acme):
            file = store_upload("a", [b"orphan"], "", bob.pk)
            File.objects.all().delete()
        return path_of(acme.alias, file.sha256)

    def test_removes_what_killed_uploads_left(self, client, acme, files_root, left, orphan):
        kept = upload(client).json()["sha256"]
        with use_tenant(acme):
            assert collect(self.NOW) == Garbage(uploads=1, contents=1, size=16)
            assert not collect(self.NOW)
        assert stored(files_root) == [path_of(acme.alias, kept)]

    def test_only_looks_where_it_is_asked_to(self, acme, left, orphan):
        with use_tenant(acme):
            assert collect(self.NOW, dry_run=True) == Garbage(uploads=1, contents=1, size=16)
        assert left.exists()
        assert orphan.exists()

    def test_leaves_a_fresh_one_for_the_next_time(self, acme, left):
        with use_tenant(acme):
            assert not collect()
            os.utime(left, (0, 0))
            assert collect().uploads == 1

    def test_takes_nothing_from_an_upload_that_goes_on(self, acme, bob, files_root):
        def chunks():
            yield b"half "
            for path in stored(files_root):
                os.utime(path, (0, 0))
            assert not collect(self.NOW)
            yield b"of it"

        with use_tenant(acme):
            assert open_file(store_upload("a", chunks(), "", bob.pk)).read() == b"half of it"

    def test_touches_no_other_tenant(self, acme, globex, left, orphan):
        with use_tenant(globex):
            assert not collect(self.NOW)
        assert left.exists()

    def test_is_one_command_for_all_tenants(self, acme, globex, left, orphan, capsys):
        os.utime(left, (0, 0))
        call_command("tenants", "gc-files", "--dry-run")
        found = "1 cut off while arriving, 1 without a file, 16 bytes: would be removed"
        total = "2 tenants looked at, 1 with something to collect, 0 failed"
        assert capsys.readouterr().out == f"acme: {found}\n{total}\n"
        call_command("tenants", "gc-files", "acme")
        assert capsys.readouterr().out.startswith(f"acme: {found.replace('would be ', '')}\n1 tenants")
        assert not left.exists()
        assert not orphan.exists()


class APath:
    @pytest.mark.parametrize("sha256", ["../../etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "\n"])
    def test_is_made_from_a_hash_only(self, sha256):
        with pytest.raises(ValueError, match="SHA-256"):
            path_of("tenant_a", sha256)

    @pytest.mark.parametrize("alias", ["..", "a/b", "", "a\0"])
    def test_is_made_from_an_alias_only(self, alias):
        with pytest.raises(ValueError, match="alias"):
            path_of(alias, "a" * 64)
