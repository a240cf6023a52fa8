"""Deleting tenants: taken out of service, taken back, and purged, also when that is killed at any step."""

from __future__ import annotations

import signal
from datetime import timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Token, User
from tenant_data.models import Document
from tenant_data.storage.contents import contents
from tenant_data.storage.incoming import Incoming
from tenants import deletion
from tenants.context import use_tenant
from tenants.databases.provision import PROVISION_LOCK
from tenants.databases.sessions import maintenance, take_server_lock
from tenants.deletion import begin_deletion, close_deleting, due, mark_deleting, purge, undo_deletion
from tenants.errors import TenantBusyError, TransitionError, UnknownTenantError
from tenants.lifecycle import suspend
from tenants.models import Role, Tenant, UserTenantAssociation
from tenants.routing.registry import directory
from tests.support.fleet import Fleet, on_server

STEPS = ("drop", "drop_role", "remove_files")

KILL_AFTER = """
import os, signal, sys
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from tenants import deletion
settings.TENANT_FILES_ROOT = os.environ["FILES"]
step = os.environ["KILL_AFTER"]

def killed_after(original):
    def wrapped(*args, **kwargs):
        original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    return wrapped

if step == "remove_files":
    deletion.tenant_purged.send = killed_after(deletion.tenant_purged.send)
else:
    setattr(deletion, step, killed_after(getattr(deletion, step)))
call_command("tenants", "purge")
"""


@pytest.fixture
def tenant(fleet: Fleet) -> Tenant:
    """With an owner, a file and a document."""
    (tenant,) = fleet.make("first")
    owner = User.objects.create_user("peter@example.com")
    UserTenantAssociation.objects.create(tenant=tenant, user=owner, role=Role.OWNER)
    Token.objects.issue(owner, name="export", lifetime=timedelta(days=1), tenant_id=tenant.pk)
    with Incoming(tenant.alias, lambda size: None) as incoming, use_tenant(tenant):
        incoming.write(b"precious")
        contents().keep(incoming.finish())
        Document.objects.create(title="Precious", owner_id=owner.pk)
    return tenant


def owner_of(tenant: Tenant) -> APIClient:
    client = APIClient()
    client.force_authenticate(tenant.associations.get(role=Role.OWNER).user)
    return client


def grace_is_over(tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(delete_at=timezone.now() - timedelta(days=1))


def state_of(tenant: Tenant) -> str:
    return Tenant.objects.values_list("state", flat=True).get(pk=tenant.pk)


def traces_of(tenant: Tenant) -> set[str]:
    """Where anything of it is left."""
    found = {
        "database": on_server("SELECT 1 FROM pg_database WHERE datname = %s", tenant.alias),
        "role": on_server("SELECT 1 FROM pg_roles WHERE rolname = %s", tenant.alias),
        "files": (settings.TENANT_FILES_ROOT / tenant.alias).exists(),
        "row": Tenant.objects.filter(pk=tenant.pk).exists(),
        "tokens": Token.objects.filter(tenant_id=tenant.pk).exists(),
        "members": UserTenantAssociation.objects.filter(tenant_id=tenant.pk).exists(),
    }
    return {name for name, there in found.items() if there}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("tenants", *arguments, stdout=out)
    return out.getvalue()


class AnOwner:
    def test_deletes_and_takes_that_back(self, tenant: Tenant) -> None:
        client = owner_of(tenant)
        asked = client.delete("/api/v1/tenants/first/")
        assert (asked.status_code, asked.json()["state"]) == (202, "deleting")
        delete_at = Tenant.objects.get(pk=tenant.pk).delete_at
        assert delete_at is not None
        assert timedelta(days=29) < delete_at - timezone.now() < timedelta(days=31)
        assert client.get("/api/v1/tenants/first/documents/").status_code == 503
        (row,) = client.get("/api/v1/tenants/").json()["results"]
        assert row["delete_at"] is not None
        assert client.delete("/api/v1/tenants/first/").status_code == 202
        kept = client.post("/api/v1/tenants/first/undelete/")
        assert (kept.status_code, kept.json()["state"], kept.json()["delete_at"]) == (200, "active", None)
        assert client.get("/api/v1/tenants/first/documents/").json()["results"][0]["title"] == "Precious"

    def test_takes_nothing_back_when_the_grace_is_over(self, tenant: Tenant) -> None:
        begin_deletion(tenant)
        grace_is_over(tenant)
        assert owner_of(tenant).post("/api/v1/tenants/first/undelete/").status_code == 409

    def test_takes_nothing_back_that_was_not_asked_for(self, tenant: Tenant) -> None:
        assert owner_of(tenant).post("/api/v1/tenants/first/undelete/").status_code == 409

    def test_does_not_get_a_suspended_tenant_back_into_service(self, tenant: Tenant) -> None:
        suspend(tenant)
        client = owner_of(tenant)
        client.delete("/api/v1/tenants/first/")
        client.post("/api/v1/tenants/first/undelete/")
        assert state_of(tenant) == "suspended"
        assert accepts_connections(tenant) is False


def accepts_connections(tenant: Tenant) -> bool:
    return on_server("SELECT datallowconn FROM pg_database WHERE datname = %s", tenant.alias) == [(True,)]


class ADeletedTenant:
    def test_takes_no_session(self, tenant: Tenant) -> None:
        begin_deletion(tenant)
        assert accepts_connections(tenant) is False

    def test_is_not_migrated_and_is_when_it_is_taken_back(self, tenant: Tenant) -> None:
        begin_deletion(tenant)
        Tenant.objects.filter(pk=tenant.pk).update(head={})
        undo_deletion(tenant)
        assert "tenant_data" in tenant.head

    def test_is_purged_when_its_grace_is_over_and_not_before(self, tenant: Tenant) -> None:
        begin_deletion(tenant)
        assert run("purge") == "0 of 0 purged\n"
        grace_is_over(tenant)
        assert run("purge", "--plan").startswith(f"first: {tenant.alias} on ")
        assert run("purge") == f"first: {tenant.alias} is gone\n1 of 1 purged\n"
        assert traces_of(tenant) == set()

    def test_leaves_its_slug_to_others(self, tenant: Tenant, fleet: Fleet) -> None:
        begin_deletion(tenant, grace=timedelta())
        assert purge(tenant)
        with pytest.raises(UnknownTenantError):
            directory.find("first")
        (another,) = fleet.make("first")
        assert another.alias != tenant.alias

    def test_is_taken_back_or_purged_by_one_process_at_a_time(
        self, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin_deletion(tenant)
        monkeypatch.setattr("tenants.databases.provision.LOCK_WAIT", timedelta())
        with maintenance(tenant.server) as cursor:
            assert take_server_lock(cursor, PROVISION_LOCK, tenant.id, wait=timedelta())
            for change in (undo_deletion, purge, close_deleting):
                with pytest.raises(TenantBusyError):
                    change(tenant)

    def test_that_is_taken_back_before_it_is_closed_stays_open(self, tenant: Tenant) -> None:
        """The race: its two halves, in main and on the server, with `undelete` between them."""
        mark_deleting(tenant)
        undo_deletion(Tenant.objects.get(pk=tenant.pk))
        close_deleting(tenant)
        assert accepts_connections(tenant) is True

    def test_may_be_one_that_was_never_ready(self, fleet: Fleet) -> None:
        half = Tenant.objects.create(slug="half")
        begin_deletion(half)
        undo_deletion(half)
        assert state_of(half) == "provisioning"
        begin_deletion(half, grace=timedelta())
        assert purge(half)
        assert traces_of(half) == set()

    def test_without_a_date_is_left_alone(self, fleet: Fleet) -> None:
        """As the tests' own acme and globex are here."""
        assert not due().exists()
        with pytest.raises(TransitionError):
            undo_deletion(Tenant.objects.filter(state="deleting")[0])


class APurgeThatIsKilled:
    @pytest.mark.parametrize("step", STEPS)
    def test_is_gone_on_with(self, tenant: Tenant, fleet: Fleet, step: str) -> None:
        begin_deletion(tenant)
        grace_is_over(tenant)
        process = fleet.start("-c", KILL_AFTER, KILL_AFTER=step, FILES=str(settings.TENANT_FILES_ROOT))
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert "row" in traces_of(tenant)
        assert "1 of 1 purged" in run("purge")
        assert traces_of(tenant) == set()


class TheCommands:
    def test_rename(self, tenant: Tenant) -> None:
        assert run("rename", "first", "second") == "first is second now\n"
        with pytest.raises(UnknownTenantError):
            directory.find("first")
        with use_tenant("second"):
            assert Document.objects.count() == 1

    @pytest.mark.parametrize(("old", "new"), [("first", "acme"), ("first", "A B"), ("nobody", "second")])
    def test_rename_refuses_with_2(self, tenant: Tenant, old: str, new: str) -> None:
        with pytest.raises(CommandError) as refused:
            run("rename", old, new)
        assert refused.value.returncode == 2
        assert Tenant.objects.get(pk=tenant.pk).slug == "first"

    def test_delete_and_undelete(self, tenant: Tenant) -> None:
        assert "`manage.py tenants undelete first` takes it back until" in run("delete", "first")
        assert run("undelete", "first") == "first is active\n"
        with pytest.raises(CommandError) as refused:
            run("undelete", "first")
        assert refused.value.returncode == 2

    def test_delete_at_once(self, tenant: Tenant) -> None:
        with pytest.raises(CommandError, match="--noinput"):
            run("delete", "first", "--now")
        assert state_of(tenant) == "active"
        assert "is gone" in run("delete", "first", "--now", "--noinput")
        assert traces_of(tenant) == set()

    def test_delete_says_that_another_has_purged_it_meanwhile(
        self, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between main's being told and the server's, another process purges what it was told of."""

        def purged_first(found: Tenant) -> None:
            purge(Tenant.objects.get(pk=found.pk))
            close_deleting(found)

        monkeypatch.setattr(deletion, "close_deleting", purged_first)
        with pytest.raises(CommandError, match="first has been purged meanwhile"):
            run("delete", "first", "--now", "--noinput")
        assert traces_of(tenant) == set()
