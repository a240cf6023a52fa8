"""Files over HTTP as production serves them: large ones, many at once, and ones that are cut off by either side.

``make bigfile`` runs it with a file of 2 GiB, and 200 at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from tenant_data.garbage import Garbage, collect
from tenant_data.limits import used_bytes
from tenant_data.models import File
from tenant_data.storage.folders import tenant_folder
from tenants.context import use_tenant
from tenants.models import Role, Tenant, UserTenantAssociation
from tests.support.fleet import Fleet
from tests.support.waiting import wait_until
from tests.support.web import Server, served

MIB = 1024 * 1024
FILE_MIB = int(os.environ.get("SILO_BIG_FILE_MIB", "30"))
GROWTH_MIB = 50 if FILE_MIB > 100 else 15
UPLOADS = int(os.environ.get("SILO_UPLOADS", "40"))
FILES = "/api/v1/tenants/acme-files/files/"
FORM_HEAD = b'--B\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
FORM_END = b"\r\n--B--\r\n"


@pytest.fixture
def tenant(fleet: Fleet, settings: Any) -> Tenant:
    settings.TENANT_FILES_ROOT = settings.SILO_DATA_DIR / "files"  # the server's
    return fleet.make("acme-files")[0]


@pytest.fixture
def server(fleet: Fleet, tenant: Tenant, tmp_path: Path) -> Iterator[Server]:
    from knox.models import get_token_model

    user = User.objects.create_user(email="alice@example.com", password=None)
    UserTenantAssociation.objects.create(user=user, tenant=tenant, role=Role.OWNER)
    _, token = get_token_model().objects.create(user=user)
    with served(fleet, token, tmp_path / "log", TENANT_QUOTA=f"{FILE_MIB + 1}MiB") as server:
        yield server


def big_content() -> Iterator[bytes]:
    """``FILE_MIB`` chunks of a MiB, none like the other."""
    block = os.urandom(MIB - 8)
    return (number.to_bytes(8, "big") + block for number in range(FILE_MIB))


def in_place(tenant: Tenant) -> list[Path]:
    return [path for path in tenant_folder(tenant.alias).rglob("*") if path.is_file()]


class ABigFile:
    def test_goes_up_and_down_in_little_memory(self, server: Server, tenant: Tenant) -> None:
        warm = server.request("POST", f"{FILES}?name=warm", b"up")
        assert warm.status == 201, warm.read()
        warm.read()
        before_kb = server.resident_kb("VmRSS")
        server.forget_peak()
        digest = hashlib.sha256()

        def form() -> Iterator[bytes]:
            yield FORM_HEAD
            for chunk in big_content():
                digest.update(chunk)
                yield chunk
            yield FORM_END

        length = str(len(FORM_HEAD) + FILE_MIB * MIB + len(FORM_END))
        sent = server.request(
            "POST", FILES, form(), Content_Type="multipart/form-data; boundary=B", Content_Length=length
        )
        made = json.loads(sent.read())
        assert sent.status == 201, made
        assert (made["sha256"], made["size"]) == (digest.hexdigest(), FILE_MIB * MIB)

        received, reply = hashlib.sha256(), server.request("GET", f"{FILES}{made['id']}/content/")
        while chunk := reply.read(MIB):
            received.update(chunk)
        assert received.hexdigest() == made["sha256"]
        part = server.request("GET", f"{FILES}{made['id']}/content/", Range=f"bytes={MIB}-")
        assert (part.status, len(part.read(8)), part.getheader("Content-Length")) == (206, 8, str((FILE_MIB - 1) * MIB))
        part.close()

        grown_mib = (server.resident_kb("VmHWM") - before_kb) / 1024
        sys.stdout.write(f"\n{FILE_MIB} MiB up and down: the worker grew by {grown_mib:.1f} MiB\n")
        assert grown_mib < GROWTH_MIB


class ManyAtOnce:
    def test_all_are_kept_as_they_were_sent(self, server: Server, tenant: Tenant) -> None:
        contents = [os.urandom(1000 + number) for number in range(UPLOADS)]

        def send(number: int) -> tuple[int, str]:
            reply = server.request("POST", f"{FILES}?name={number}", contents[number])
            return reply.status, json.loads(reply.read())["sha256"]

        with ThreadPoolExecutor(UPLOADS) as senders:
            replies = list(senders.map(send, range(UPLOADS)))
        assert replies == [(201, hashlib.sha256(content).hexdigest()) for content in contents]
        with use_tenant(tenant):
            assert used_bytes() == sum(map(len, contents))
        assert {path.name for path in in_place(tenant)} == {sha256 for _, sha256 in replies}
        assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in in_place(tenant))


class CutOff:
    """Half of the body has been sent, and is on the server's disk."""

    def test_by_either_side_nothing_of_it_is_kept(self, server: Server, tenant: Tenant) -> None:
        with half_way(server, tenant):
            assert not collected(tenant)  # the server is at it
        wait_until(lambda: not in_place(tenant))
        assert nothing_is_kept(tenant)

        with half_way(server, tenant):
            os.kill(server.worker, signal.SIGKILL)
            wait_until(lambda: collected(tenant))
        assert in_place(tenant) == []
        assert nothing_is_kept(tenant)


@contextmanager
def half_way(server: Server, tenant: Tenant) -> Iterator[None]:
    """An upload whose sender goes away on leaving."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        head = f"POST {FILES}?name=half HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {server.token}\r\n"
        client.sendall(f"{head}Content-Length: {2 * MIB}\r\n\r\n".encode() + bytes(MIB))
        wait_until(lambda: sum(path.stat().st_size for path in in_place(tenant)))
        yield


def collected(tenant: Tenant) -> Garbage:
    with use_tenant(tenant):
        return collect(timedelta())


def nothing_is_kept(tenant: Tenant) -> bool:
    with use_tenant(tenant):
        return used_bytes() == 0 and not File.objects.exists()
