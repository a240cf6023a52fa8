"""A Python client, generated from docs/openapi.yaml, on a running server."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from accounts.models import User
from tests.conftest import PASSWORD
from tests.support.fleet import PROJECT, Fleet
from tests.support.web import served

CONTENT = b"article,price\nanvil,129.00\n"


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package ``silo_client``; it fails where the generator has to leave something out."""
    where = ["--path", "docs/openapi.yaml", "--output-path", str(tmp_path / "silo_client")]
    how = ["--meta", "none", "--config", "tests/openapi/client.yaml", "--fail-on-warning"]
    command = [sys.executable, "-m", "openapi_python_client", "generate"]
    done = subprocess.run([*command, *where, *how], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("silo_client")


class AGeneratedClient:
    def test_logs_in_makes_a_tenant_writes_lists_and_uploads(self, generated: ModuleType, fleet: Fleet, tmp_path: Path):
        def call(path: str):
            return importlib.import_module(f"silo_client.api.{path}").sync_detailed

        models, types = (importlib.import_module(f"silo_client.{name}") for name in ("models", "types"))
        User.objects.create_user("alice@example.com", PASSWORD)
        with served(fleet, "", tmp_path / "log") as server:
            url = f"http://127.0.0.1:{server.port}"
            who = models.LoginRequest(email="alice@example.com", password=PASSWORD)
            logged_in = call("accounts.auth_login_create")(client=generated.Client(base_url=url), body=who).parsed
            assert isinstance(logged_in, models.LoggedIn)

            client = generated.AuthenticatedClient(base_url=url, token=logged_in.token, prefix="Token")
            new = models.NewTenantRequest(slug="hooli", name="Hooli")
            tenant = call("tenants.tenants_create")(client=client, body=new, idempotency_key="one").parsed
            assert (tenant.slug, tenant.role, tenant.delete_at) == ("hooli", "owner", None)
            again = call("tenants.tenants_create")(client=client, body=new).parsed
            assert (again.status, again.code) == (409, "tenant_exists")

            sent = types.File(io.BytesIO(CONTENT), "catalogue.csv", "text/csv")
            file = call("files.tenants_files_create")(
                "hooli", client=client, body=models.UploadRequest(file=sent)
            ).parsed
            assert (file.name, file.size, file.content_type) == ("catalogue.csv", len(CONTENT), "text/csv")
            assert call("files.tenants_files_content_retrieve")("hooli", file.id, client=client).content == CONTENT

            note = models.DocumentRequest(title="Prices", tags=["spring"], file=file.id)
            written = call("documents.tenants_documents_create")("hooli", client=client, body=note).parsed
            page = call("documents.tenants_documents_list")("hooli", client=client, q="prices").parsed
            assert [(one.id, one.tags, one.file) for one in page.results] == [(written.id, ["spring"], file.id)]
