"""The admin: tenants are made and kept there, users, servers and members edited, rollouts read."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import connection
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.models import User
from tenants.context import current_alias, use_tenant
from tenants.errors import ProvisioningError
from tenants.models import Rollout, RolloutAttempt, Server, Tenant, UserTenantAssociation
from tenants.rollout.ledger import ACTIVE_LOCK
from tenants.rollout.request import Request
from tenants.rollout.runner import run_rollout
from tenants.rollout.selection import Selection
from tenants.rollout.target import resolve
from tests.support.fleet import ended, in_other_processes
from tests.support.migrations import newest_of

TENANTS = "admin:tenants_tenant_changelist"
ADD = "admin:tenants_tenant_add"
LISTS = [
    f"admin:{name}_changelist"
    for name in (
        "accounts_user",
        "auth_group",
        "accounts_token",
        "tenants_server",
        "tenants_tenant",
        "tenants_usertenantassociation",
        "tenants_invitation",
        "tenants_rollout",
        "tenants_rolloutattempt",
    )
]
NO_MEMBERS = {"associations-TOTAL_FORMS": 0, "associations-INITIAL_FORMS": 0}


def as_staff(client, user):
    client.force_login(user)
    return client


def said(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def only_member(member):
    """The form of a tenant's one member, as it is."""
    return {
        "associations-TOTAL_FORMS": 1,
        "associations-INITIAL_FORMS": 1,
        "associations-0-id": member.pk,
        "associations-0-tenant": member.tenant_id,
        "associations-0-user": member.user_id,
        "associations-0-role": member.role,
    }


def new_tenant(client, **fields):
    return client.post(
        reverse(ADD), {"slug": "initech", "name": "", "server": "", "labels": "", **NO_MEMBERS, **fields}
    )


def act(client, action, *tenants):
    return client.post(reverse(TENANTS), {"action": action, "_selected_action": [tenant.pk for tenant in tenants]})


def running_rollout():
    """One whose process holds the lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ACTIVE_LOCK])
    return Rollout.objects.create(target="latest", process="here")


def order(client, action, rollout):
    page = reverse("admin:tenants_rollout_changelist")
    return client.post(page, {"action": action, "_selected_action": [rollout.pk]})


@pytest.fixture
def staff(client, erin):
    return as_staff(client, erin)


@pytest.fixture
def chief(client, fleet):
    """A superuser who is really in main, for tests that other sessions have a part in."""
    return as_staff(client, User.objects.create_superuser("erin@example.com", "erin's own"))


class ThePages:
    @pytest.mark.parametrize("name", ["admin:index", *LISTS])
    def test_open_for_staff(self, staff, acme, name):
        assert staff.get(reverse(name)).status_code == 200

    @pytest.mark.parametrize("name", ["admin:index", *LISTS, ADD])
    def test_are_closed_to_everyone_else(self, client, alice, name):
        assert client.get(reverse(name)).status_code == 302
        client.force_login(alice)
        assert client.get(reverse(name)).status_code == 302

    @pytest.mark.parametrize("name", [*LISTS, ADD])
    def test_are_closed_to_staff_without_permission(self, client, dave, name):
        dave.is_staff = True
        dave.save()
        assert as_staff(client, dave).get(reverse(name)).status_code == 403

    def test_find_by_search(self, staff, acme, globex, alice):
        assert {staff.get(reverse(name), {"q": "acme"}).status_code for name in LISTS} == {200}
        found = staff.get(reverse(TENANTS), {"q": "acme"}).context["cl"].result_list
        assert [tenant.slug for tenant in found] == ["acme"]


class TheListOfTenants:
    def test_shows_state_and_head(self, staff, acme):
        page = staff.get(reverse(TENANTS)).content.decode()
        for shown in ("acme", "active", f"tenant_data.{newest_of('tenant_data')}", acme.server.name):
            assert shown in page

    @pytest.mark.parametrize(("asked", "slugs"), [("yes", ["globex"]), ("no", ["acme"]), ("?", ["acme", "globex"])])
    def test_filters_those_that_are_behind(self, staff, acme, globex, asked, slugs):
        Tenant.objects.filter(pk=globex.pk).update(head={})
        found = staff.get(reverse(TENANTS), {"behind": asked}).context["cl"].result_list
        assert [tenant.slug for tenant in found] == slugs


class ANewTenant:
    def test_gets_its_database(self, chief, fleet):
        reply = new_tenant(chief, labels='{"plan": "pro"}')
        assert "initech is ready, with its database." in said(reply)
        initech = Tenant.objects.get(slug="initech")
        assert (initech.state, initech.name, initech.labels) == ("active", "initech", {"plan": "pro"})
        assert chief.get(reverse("admin:tenants_tenant_change", args=[initech.pk])).status_code == 200
        with use_tenant(initech):
            assert current_alias() == initech.alias

    def test_gets_its_members(self, chief, fleet):
        peter = User.objects.create_user("peter@example.com")
        members = {"associations-TOTAL_FORMS": 1, "associations-0-user": peter.pk, "associations-0-role": "owner"}
        new_tenant(chief, **members)
        assert UserTenantAssociation.objects.get(tenant__slug="initech").user == peter

    def test_says_how_to_go_on_where_its_database_could_not_be_made(self, chief, fleet, monkeypatch):
        def fails(tenant):
            raise ProvisioningError("no room", tenant=tenant.slug)

        with monkeypatch.context() as broken:
            broken.setattr(Tenant, "create_database", fails)
            (told,) = [text for text in said(new_tenant(chief)) if "no room" in text]
        assert "Go on making the databases" in told
        initech = Tenant.objects.get(slug="initech")
        assert initech.state == "provisioning"
        act(chief, "go_on_selected", initech)
        initech.refresh_from_db()
        assert initech.state == "active"

    @pytest.mark.parametrize("slug", ["", "Acme", 'a"; DROP', "a" * 70, "acme"])
    def test_is_refused_without_a_slug_of_its_own(self, staff, acme, slug):
        reply = new_tenant(staff, slug=slug)
        assert reply.status_code == 200
        assert "slug" in reply.context["adminform"].form.errors

    @pytest.mark.parametrize("labels", ['["a"]', '"x"', '{"a": 1}', "{"])
    def test_is_refused_with_labels_that_are_no_texts(self, staff, acme, labels):
        assert "labels" in new_tenant(staff, labels=labels).context["adminform"].form.errors

    def test_is_refused_where_no_server_has_room(self, staff, acme):
        Server.objects.update(capacity=1)
        assert "server" in new_tenant(staff).context["adminform"].form.errors


class ATenant:
    def test_is_renamed_and_nothing_else(self, staff, acme, alice):
        other = Server.objects.create(name="other", host="10.0.0.7")
        member = UserTenantAssociation.objects.get(tenant=acme)
        page = reverse("admin:tenants_tenant_change", args=[acme.pk])
        forged = {"state": "suspended", "head": "{}", "id": str(other.pk), "alias": "x", "server": other.pk}
        members = only_member(member)
        reply = staff.post(page, {"slug": "acme", "name": "Acme International", "labels": "{}", **forged, **members})
        assert reply.status_code == 302
        changed = Tenant.objects.get(pk=acme.pk)
        assert changed.name == "Acme International"
        assert (changed.state, changed.head, changed.server) == (acme.state, acme.head, acme.server)

    @pytest.mark.parametrize(
        "edit", [{"associations-0-DELETE": "on"}, {"associations-0-role": "admin"}], ids=["taken out", "made an admin"]
    )
    def test_keeps_an_owner(self, staff, acme, alice, edit):
        member = UserTenantAssociation.objects.get(tenant=acme, user=alice)
        members = only_member(member)
        page = reverse("admin:tenants_tenant_change", args=[acme.pk])
        reply = staff.post(page, {"slug": "acme", "name": "Acme", "labels": "{}", **members, **edit})
        assert "The last owner of a tenant cannot leave" in reply.content.decode()
        assert UserTenantAssociation.objects.get(pk=member.pk).role == "owner"

    def test_has_its_members_edited_on_its_own_page_alone(self, chief, acme, alice):
        member = UserTenantAssociation.objects.get(tenant=acme, user=alice)
        for action in ("change", "delete"):
            page = reverse(f"admin:tenants_usertenantassociation_{action}", args=[member.pk])
            assert chief.post(page, {"role": "viewer", "post": "yes"}).status_code == 403
        assert UserTenantAssociation.objects.get(pk=member.pk).role == "owner"

    def test_keeps_what_changed_while_its_page_was_open(self, staff, acme, monkeypatch):
        """A rollout moves the head between the reading of the form and its saving."""
        from tenants.admin.tenant import TenantForm

        clean = TenantForm.clean_labels

        def moves_first(form):
            Tenant.objects.filter(pk=acme.pk).update(head={"moved": "0002"})
            return clean(form)

        monkeypatch.setattr(TenantForm, "clean_labels", moves_first)
        page = reverse("admin:tenants_tenant_change", args=[acme.pk])
        staff.post(page, {"slug": "acme", "name": "Other", "labels": "{}", **NO_MEMBERS})
        acme.refresh_from_db()
        assert (acme.name, acme.head) == ("Other", {"moved": "0002"})
        Tenant.objects.filter(pk=acme.pk).update(head={})

    def test_is_not_deleted_here(self, staff, acme):
        assert staff.post(reverse("admin:tenants_tenant_delete", args=[acme.pk]), {"post": "yes"}).status_code == 403
        act(staff, "delete_selected", acme)
        assert Tenant.objects.filter(pk=acme.pk).exists()


class SelectedTenants:
    def test_are_migrated(self, chief, fleet, monkeypatch):
        initech, hooli = fleet.make("initech", "hooli")
        run_rollout(Request(target=resolve("notes", "zero"), selection=Selection(slugs=("initech", "hooli"))))
        in_other_processes(fleet, monkeypatch)
        (told,) = said(act(chief, "migrate_selected", initech))
        rollout = Rollout.objects.get(started_by__email="erin@example.com")
        assert reverse("admin:tenants_rollout_change", args=[rollout.pk]) in told
        assert ended(rollout).state == Rollout.State.SUCCEEDED
        initech.refresh_from_db()
        hooli.refresh_from_db()
        assert "notes" in initech.head
        assert "notes" not in hooli.head

    def test_are_suspended_and_resumed(self, chief, fleet):
        (initech,) = fleet.make("initech")
        assert said(act(chief, "suspend_selected", initech)) == ["initech is suspended."]
        initech.refresh_from_db()
        assert initech.state == "suspended"
        assert said(act(chief, "resume_selected", initech))[-1] == "initech is resumed."
        initech.refresh_from_db()
        assert initech.state == "active"

    def test_fail_one_by_one(self, chief, fleet):
        initech, hooli = fleet.make("initech", "hooli")
        act(chief, "suspend_selected", initech)
        told = said(act(chief, "resume_selected", initech, hooli))
        assert any("initech is resumed" in text for text in told)
        assert any("hooli is active, not suspended" in text for text in told)

    def test_are_left_alone_by_staff_who_may_only_look(self, client, dave, acme):
        from django.contrib.auth.models import Permission

        dave.is_staff = True
        dave.save()
        dave.user_permissions.add(Permission.objects.get(codename="view_tenant"))
        act(as_staff(client, dave), "suspend_selected", acme)
        acme.refresh_from_db()
        assert acme.state == "active"


class ARollout:
    def test_is_only_read(self, staff, acme, erin):
        rollout = Rollout.objects.create(state="failed", target="latest", process="here", started_by=erin)
        attempt = RolloutAttempt.objects.create(rollout=rollout, tenant=acme, state="failed", traceback="<Traceback>")
        for name, row in (("rollout", rollout), ("rolloutattempt", attempt)):
            change = reverse(f"admin:tenants_{name}_change", args=[row.pk])
            assert staff.get(change).status_code == 200
            assert staff.post(change, {"state": "succeeded"}).status_code == 403
            assert staff.post(reverse(f"admin:tenants_{name}_delete", args=[row.pk])).status_code == 403
            assert staff.get(reverse(f"admin:tenants_{name}_add")).status_code == 403

    def test_leads_to_its_attempts(self, staff, acme, erin):
        rollout, other = (Rollout.objects.create(state="failed", target="latest", process="here") for _ in range(2))
        for one in (rollout, other):
            RolloutAttempt.objects.create(rollout=one, tenant=acme, state="failed", traceback="<Traceback>")
        attempts = reverse("admin:tenants_rolloutattempt_changelist", query={"rollout__id__exact": str(rollout.pk)})
        assert attempts in staff.get(reverse("admin:tenants_rollout_change", args=[rollout.pk])).content.decode()
        assert staff.get(attempts).context["cl"].result_count == 1

    def test_is_paused_gone_on_with_and_aborted(self, staff, erin):
        rollout = running_rollout()
        for action, wanted in (("pause", "pause"), ("continue", "go"), ("abort", "abort")):
            order(staff, f"{action}_selected", rollout)
            rollout.refresh_from_db()
            assert (rollout.wanted, rollout.wanted_by) == (wanted, erin.email)
        assert "told to abort by erin@example.com" in said(order(staff, "pause_selected", rollout))[-1]

    def test_is_not_told_anything_by_staff_who_may_only_look(self, client, dave):
        dave.is_staff = True
        dave.save()
        dave.user_permissions.add(Permission.objects.get(codename="view_rollout"))
        rollout = running_rollout()
        order(as_staff(client, dave), "abort_selected", rollout)
        rollout.refresh_from_db()
        assert rollout.wanted == "go"


class AServer:
    def test_is_registered(self, staff):
        server = {"name": "eu-1", "host": "10.0.0.7", "port": "", "region": "eu", "capacity": 5, "state": "active"}
        assert staff.post(reverse("admin:tenants_server_add"), server).status_code == 302
        assert "10.0.0.7" in staff.get(reverse("admin:tenants_server_changelist")).content.decode()

    def test_is_refused_with_more_than_a_host(self, staff):
        reply = staff.post(reverse("admin:tenants_server_add"), {"name": "eu-1", "host": "/tmp", "capacity": 5})
        assert "host" in reply.context["adminform"].form.errors


class AUser:
    def test_is_made_with_a_lower_case_email(self, staff):
        fields = {"email": "Frank@Example.com", "name": "Frank", "usable_password": "true"}
        passwords = {"password1": "correct horse battery", "password2": "correct horse battery"}
        assert staff.post(reverse("admin:accounts_user_add"), fields | passwords).status_code == 302
        assert User.objects.get(name="Frank").email == "frank@example.com"

    def test_is_edited(self, staff, dave):
        page = reverse("admin:accounts_user_change", args=[dave.pk])
        assert staff.get(page).status_code == 200
        assert staff.post(page, {"email": dave.email, "name": "David"}).status_code == 302
        dave.refresh_from_db()
        assert (dave.name, dave.is_active) == ("David", False)

    def test_is_not_deleted(self, staff, dave):
        assert staff.post(reverse("admin:accounts_user_delete", args=[dave.pk]), {"post": "yes"}).status_code == 403


class EveryPage:
    """A host or a header may name a tenant on the admin's pages; they work on main all the same."""

    def request(self, rf, user):
        request = rf.get("/admin/")
        request.user = user
        return request

    def test_runs_with_no_tenant_current(self, rf, erin, acme):
        page = admin.site.admin_view(lambda request: HttpResponse(str(current_alias())))
        with use_tenant(acme):
            assert page(self.request(rf, erin)).content == b"None"
            assert current_alias() == acme.alias

    def test_is_rendered_with_no_tenant_current(self, rf, erin, acme):
        class Page(TemplateResponse):
            @property
            def rendered_content(self):
                return str(current_alias())

        page = admin.site.admin_view(lambda request: Page(request, "none.html"))
        with use_tenant(acme):
            assert page(self.request(rf, erin)).render().content == b"None"

    def test_writes_its_log_with_a_tenant_in_the_header(self, staff, acme):
        page = reverse("admin:tenants_tenant_change", args=[acme.pk])
        form = {"slug": "acme", "name": "Other", "labels": "{}", **NO_MEMBERS}
        assert staff.post(page, form, HTTP_X_TENANT="acme").status_code == 302
        history = staff.get(reverse("admin:tenants_tenant_history", args=[acme.pk]), HTTP_X_TENANT="acme")
        assert "Changed Name" in history.content.decode()
