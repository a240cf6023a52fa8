"""What is different where contents lie in a bucket: the places, the downloads, and races that a rename has not."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from moto.server import ThreadedMotoServer
from rest_framework.test import APIClient

from platform_site.buckets import storage_in
from tenant_data.files import delete_file, open_file, store_upload
from tenant_data.garbage import Garbage, collect
from tenant_data.models import File
from tenant_data.storage.bucket import BucketContents
from tenants.context import use_tenant

pytestmark = pytest.mark.django_db

FILES = "/api/v1/tenants/acme/files/"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Configured as in production: by TENANT_FILES_BUCKET, and boto3's own variables."""
    settings.TENANT_FILES_BUCKET = "silo-files"
    settings.STORAGES = settings.STORAGES | {"tenant_files": storage_in("silo-files")}
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    storage: Any = storages["tenant_files"]
    made = storage.connection.create_bucket(Bucket="silo-files")
    yield made
    made.objects.all().delete()
    made.delete()


@pytest.fixture
def client(as_user: Any, bob: Any, acme: Any, bucket: Any) -> APIClient:
    client: APIClient = as_user(bob)
    return client


def send(client: Any, content: bytes = b"hello") -> Any:
    return client.generic("POST", f"{FILES}?name=a.txt", content, content_type="text/plain")


def keys(bucket: Any) -> list[str]:
    return sorted(one.key for one in bucket.objects.all())


class ABucket:
    def test_keeps_each_tenants_contents_below_its_own_prefix(
        self, client: APIClient, bucket: Any, acme: Any, globex: Any, carol: Any, settings: Any
    ) -> None:
        assert [send(client).status_code for _ in range(2)] == [201, 201]
        with use_tenant(globex):
            store_upload("a", [b"hello"], "", carol.pk)
        sha256 = hashlib.sha256(b"hello").hexdigest()
        assert keys(bucket) == sorted(f"{one.alias}/{sha256[:2]}/{sha256}" for one in (acme, globex))
        assert [path for path in Path(settings.TENANT_FILES_ROOT).rglob("*") if path.is_file()] == []

    def test_gives_it_back_at_an_address_of_its_own(self, client: APIClient) -> None:
        file = send(client).json()
        found = client.get(f"{FILES}{file['id']}/content/")
        assert found.status_code == 302
        with urllib.request.urlopen(found["Location"]) as reply:
            assert reply.read() == b"hello"
            assert reply.headers["Content-Disposition"] == 'attachment; filename="a.txt"'
            assert reply.headers["Content-Type"] == "text/plain"

    def test_takes_a_large_file_in_parts(self, client: APIClient, acme: Any) -> None:
        content = os.urandom(20 * MIB)
        assert send(client, content).status_code == 201
        with use_tenant(acme), open_file(File.objects.get()) as file:
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(content).digest()

    def test_lets_a_content_go_with_its_last_file(self, client: APIClient, bucket: Any, acme: Any) -> None:
        first, _ = send(client), send(client)
        client.delete(f"{FILES}{first.json()['id']}/")
        assert len(keys(bucket)) == 1
        with use_tenant(acme):
            delete_file(File.objects.get())
        assert keys(bucket) == []

    def test_is_collected_too(self, client: APIClient, bucket: Any, acme: Any, globex: Any, carol: Any) -> None:
        send(client)
        with use_tenant(globex):
            store_upload("a", [b"hello"], "", carol.pk)
        with use_tenant(acme):
            File.objects.all().delete()
            assert collect(timedelta()) == Garbage(contents=1, size=5)
        assert [key.partition("/")[0] for key in keys(bucket)] == [globex.alias]

    def test_sends_again_what_somebody_removed_before_it_was_recorded(
        self, client: APIClient, bucket: Any, acme: Any, bob: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepare = BucketContents.prepare

        def then_collected(contents: BucketContents, received: Any) -> None:
            prepare(contents, received)
            assert collect(timedelta()).contents == 1

        monkeypatch.setattr(BucketContents, "prepare", then_collected)
        with use_tenant(acme):
            assert open_file(store_upload("a", [b"raced"], "", bob.pk)).read() == b"raced"
