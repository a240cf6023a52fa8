"""Tenants, their members and the fleet, over HTTP."""

import threading

import pytest
from django.db import connection

from accounts.models import User
from tenants.errors import LastOwnerError, NotMemberError, ProvisioningError, RoleError
from tenants.members import add_member, change_role, remove_member
from tenants.models import Role, Rollout, Server, Tenant, UserTenantAssociation
from tests.support.fleet import drop_tenant
from tests.support.problems import wrong_fields

TENANTS, ACME = "/api/v1/tenants/", "/api/v1/tenants/acme/"
MEMBERS = f"{ACME}members/"
ROLES = ("owner", "admin", "member", "viewer")
ROUNDS = 5


def give_role(tenant, user, role):
    UserTenantAssociation.objects.update_or_create(tenant=tenant, user=user, defaults={"role": role})


class MyTenants:
    def test_are_listed_with_my_role(self, as_user, acme, globex, bob):
        reply = as_user(bob).get(TENANTS).json()
        assert set(reply) == {"next", "previous", "results"}
        assert [(row["slug"], row["role"]) for row in reply["results"]] == [("acme", "member")]

    def test_are_not_other_peoples(self, as_user, acme, globex, dave):
        assert as_user(dave).get(TENANTS).json()["results"] == []

    def test_say_nothing_of_where_their_database_lives(self, as_user, acme, alice):
        shown = {"id", "slug", "name", "state", "role", "labels", "delete_at", "created_at"}
        assert set(as_user(alice).get(ACME).json()) == shown

    def test_are_denied_to_nobody(self, api):
        assert api.get(TENANTS).status_code == 401
        assert api.post(TENANTS, {"slug": "initech"}).status_code == 401

    def test_come_in_pages(self, as_user, acme, alice, globex):
        give_role(globex, alice, "viewer")
        client = as_user(alice)
        first = client.get(TENANTS, {"page_size": 1}).json()
        second = client.get(first["next"]).json()
        assert {row["slug"] for page in (first, second) for row in page["results"]} == {"acme", "globex"}
        assert second["next"] is None

    def test_refuse_a_made_up_page(self, as_user, acme, alice):
        assert as_user(alice).get(TENANTS, {"cursor": "cD1nYXJiYWdl"}).status_code == 404


class MakingATenant:
    @pytest.fixture(autouse=True)
    def _drop_what_was_made(self, acme, globex):
        yield
        for tenant in Tenant.objects.exclude(pk__in=[acme.pk, globex.pk]):
            drop_tenant(tenant)

    def test_gives_one_that_is_ready(self, as_user, dave):
        client = as_user(dave)
        made = client.post(TENANTS, {"slug": "initech", "name": "Initech"})
        assert made.status_code == 201
        assert made.json()["state"] == "active"
        assert made.json()["role"] == "owner"
        assert client.post(f"{TENANTS}initech/documents/", {"title": "First"}).status_code == 201

    def test_refuses_a_slug_that_is_taken(self, as_user, acme, dave):
        refused = as_user(dave).post(TENANTS, {"slug": "acme"})
        assert refused.status_code == 409

    @pytest.mark.parametrize("slug", ['a"; DROP', "a\0b", "a" * 70, "", "Acme", " acme", "acme\n", "-acme", "a_b", "ä"])
    def test_refuses_what_is_no_slug(self, as_user, dave, slug):
        refused = as_user(dave).post(TENANTS, {"slug": slug})
        assert refused.status_code == 400
        assert wrong_fields(refused) == {"slug"}
        assert not Tenant.objects.filter(associations__user=dave).exists()

    def test_goes_on_when_it_is_sent_again_after_a_failure(self, as_user, dave, monkeypatch):
        def fails(tenant):
            raise ProvisioningError("the disk of 10.0.0.7 is full", tenant=tenant.slug)

        client = as_user(dave)
        with monkeypatch.context() as broken:
            broken.setattr("tenants.lifecycle.provision", fails)
            refused = client.post(TENANTS, {"slug": "initech"})
        assert refused.status_code == 503
        assert int(refused["Retry-After"]) > 0
        assert "10.0.0.7" not in refused.content.decode()
        made = client.post(TENANTS, {"slug": "initech"})
        assert made.status_code == 201
        assert made.json()["state"] == "active"

    def test_does_not_go_on_with_somebody_elses(self, as_user, alice, dave, acme):
        Tenant.objects.update(state="provisioning")
        assert as_user(dave).post(TENANTS, {"slug": "acme"}).status_code == 409


class ChangingATenant:
    def test_is_changing_its_name_slug_and_labels(self, as_user, acme, alice):
        changes = {"name": "Acme International", "slug": "acme-group", "labels": {"plan": "pro"}}
        reply = as_user(alice).patch(ACME, changes)
        assert reply.status_code == 200
        assert reply.json().items() >= changes.items()
        acme.refresh_from_db()
        assert {field: getattr(acme, field) for field in changes} == changes

    def test_changes_nothing_else(self, as_user, acme, alice):
        reply = as_user(alice).patch(
            ACME, {"state": "suspended", "id": "x", "server": "x", "head": {}, "delete_at": "x"}
        )
        assert reply.status_code == 200
        changed = Tenant.objects.get(pk=acme.pk)
        assert (changed.state, changed.server, changed.head) == (acme.state, acme.server, acme.head)

    def test_has_the_old_slug_stop_working_at_once(self, as_user, acme, alice):
        client = as_user(alice)
        client.patch(ACME, {"slug": "acme-group"})
        assert client.get(ACME).status_code == 404
        assert client.get(f"{TENANTS}acme-group/documents/").status_code == 200

    def test_leaves_the_old_slug_to_others(self, as_user, acme, alice, globex, carol):
        as_user(alice).patch(ACME, {"slug": "acme-group"})
        assert as_user(carol).patch(f"{TENANTS}globex/", {"slug": "acme"}).status_code == 200
        assert as_user(alice).get(ACME).status_code == 404
        assert as_user(carol).get(ACME).json()["id"] == str(globex.pk)

    def test_refuses_a_slug_that_is_taken(self, as_user, acme, globex, alice):
        assert as_user(alice).patch(ACME, {"slug": "globex", "name": "x"}).status_code == 409
        assert as_user(alice).get(ACME).json()["name"] != "x"

    @pytest.mark.parametrize(
        "changes",
        [
            *({"slug": slug} for slug in ("", "Acme", "a b", "a" * 70, "acme\n", None)),
            *({"name": name} for name in ("", "a" * 201, "a\0b", None)),
            *(
                {"labels": labels}
                for labels in (["a"], {"a b": "c"}, {"a": "b" * 201}, {"a": ["b"]}, {"a": "\0"}, None)
            ),
            {"labels": {str(number): "" for number in range(51)}},
        ],
    )
    def test_refuses_what_is_no_slug_name_or_label(self, as_user, acme, alice, changes):
        refused = as_user(alice).patch(ACME, changes)
        assert refused.status_code == 400
        assert {str(field).partition(".")[0] for field in wrong_fields(refused)} == set(changes)


class SuspendingATenant:
    SUSPEND, RESUME = (f"/api/v1/fleet/tenants/acme/{order}/" for order in ("suspend", "resume"))

    def test_is_for_staff(self, api, as_user, acme, alice):
        for path in (self.SUSPEND, self.RESUME):
            assert api.post(path).status_code == 401
            assert as_user(alice).post(path).status_code == 403

    def test_takes_it_out_of_service_until_it_is_resumed(self, as_user, acme, bob, erin):
        staff, member = as_user(erin), as_user(bob)
        assert staff.post(self.SUSPEND).json()["state"] == "suspended"
        assert member.get(ACME).status_code == 503
        assert staff.post(self.RESUME).json()["state"] == "active"
        assert member.get(f"{ACME}documents/").status_code == 200

    def test_is_409_where_it_cannot_be(self, as_user, acme, erin):
        assert as_user(erin).post(self.RESUME).status_code == 409

    def test_is_404_of_nobody(self, as_user, erin):
        assert as_user(erin).post("/api/v1/fleet/tenants/nowhere/suspend/").status_code == 404


class ATenantThatCannotBeServed:
    PATHS = ("", "members/", "files/", "documents/")

    @pytest.mark.parametrize("path", PATHS)
    def test_is_503_to_its_members_while_suspended(self, as_user, acme, bob, path):
        Tenant.objects.filter(pk=acme.pk).update(state="suspended")
        reply = as_user(bob).get(ACME + path)
        assert reply.status_code == 503
        assert int(reply["Retry-After"]) > 0

    @pytest.mark.parametrize("path", PATHS)
    def test_is_503_to_its_members_while_behind(self, as_user, acme, bob, path, settings):
        settings.TENANT_BEHIND_POLICY = "refuse"
        Tenant.objects.filter(pk=acme.pk).update(head={})
        reply = as_user(bob).get(ACME + path)
        assert reply.status_code == 503
        assert int(reply["Retry-After"]) > 0

    def test_is_served_behind_where_the_policy_says_so(self, as_user, acme, bob, settings):
        settings.TENANT_BEHIND_POLICY = "serve"
        Tenant.objects.filter(pk=acme.pk).update(head={})
        assert as_user(bob).get(f"{ACME}documents/").status_code == 200

    def test_is_404_to_strangers_all_the_same(self, as_user, acme, dave):
        Tenant.objects.filter(pk=acme.pk).update(state="suspended", head={})
        assert as_user(dave).get(ACME).status_code == 404

    def test_tells_nothing_of_the_reason(self, as_user, acme, bob):
        Tenant.objects.filter(pk=acme.pk).update(head={})
        assert "manage.py" not in as_user(bob).get(ACME).content.decode()

    def test_is_503_when_its_database_ends_the_session(self, as_user, acme, bob, monkeypatch):
        from tenant_data.api.documents import DocumentsView
        from tenants.context import required_alias

        def query(view):
            from django.db import connections

            with connections[required_alias()].cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        monkeypatch.setattr(DocumentsView, "get_queryset", query)
        reply = as_user(bob).get(f"{ACME}documents/")
        assert reply.status_code == 503
        assert "terminat" not in reply.content.decode()


class Members:
    def test_are_listed_for_everyone_who_belongs(self, as_user, acme, alice, bob):
        give_role(acme, bob, "viewer")
        rows = as_user(bob).get(MEMBERS).json()["results"]
        assert {(row["email"], row["role"]) for row in rows} == {(alice.email, "owner"), (bob.email, "viewer")}

    @pytest.mark.parametrize("role", ["owner", "admin"])
    def test_may_be_let_in_by_owners_and_admins(self, as_user, acme, bob, dave, role):
        give_role(acme, bob, role)
        made = as_user(bob).post(MEMBERS, {"email": dave.email.upper(), "role": "viewer"})
        assert made.status_code == 201
        assert as_user(dave).get(ACME).json()["role"] == "viewer"

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_may_not_be_managed_by_others(self, as_user, acme, alice, bob, dave, role):
        give_role(acme, bob, role)
        client = as_user(bob)
        assert client.post(MEMBERS, {"email": dave.email, "role": "viewer"}).status_code == 403
        assert client.patch(f"{MEMBERS}{bob.pk}/", {"role": "owner"}).status_code == 403
        assert client.delete(f"{MEMBERS}{alice.pk}/").status_code == 403

    def test_are_registered_users(self, as_user, acme, alice):
        refused = as_user(alice).post(MEMBERS, {"email": "nobody@example.com", "role": "member"})
        assert refused.status_code == 400
        assert wrong_fields(refused) == {"email"}

    def test_have_one_of_four_roles(self, as_user, acme, alice, bob):
        client = as_user(alice)
        assert {client.patch(f"{MEMBERS}{bob.pk}/", {"role": role}).status_code for role in ROLES} == {200}
        assert client.patch(f"{MEMBERS}{bob.pk}/", {"role": "god"}).status_code == 400

    def test_are_let_in_once(self, as_user, acme, alice, bob):
        assert as_user(alice).post(MEMBERS, {"email": bob.email, "role": "admin"}).status_code == 409

    def test_may_be_shown_and_taken_out(self, as_user, acme, alice, bob):
        client = as_user(alice)
        assert client.get(f"{MEMBERS}{bob.pk}/").json()["email"] == bob.email
        assert client.delete(f"{MEMBERS}{bob.pk}/").status_code == 204
        assert client.get(f"{MEMBERS}{bob.pk}/").status_code == 404
        assert as_user(bob).get(ACME).status_code == 404

    def test_are_denied_to_nobody(self, api, acme, bob):
        assert api.get(MEMBERS).status_code == 401
        assert api.post(MEMBERS, {"email": bob.email}).status_code == 401
        assert api.patch(f"{MEMBERS}{bob.pk}/", {"role": "admin"}).status_code == 401
        assert api.delete(f"{MEMBERS}{bob.pk}/").status_code == 401


class Leaving:
    @pytest.mark.parametrize("role", ["admin", "member", "viewer"])
    def test_is_for_everyone(self, as_user, acme, bob, role):
        give_role(acme, bob, role)
        client = as_user(bob)
        assert client.post(f"{ACME}leave/").status_code == 204
        assert client.get(ACME).status_code == 404

    def test_is_not_for_the_last_owner(self, as_user, acme, alice, bob):
        client = as_user(alice)
        assert client.post(f"{ACME}leave/").status_code == 409
        give_role(acme, bob, "owner")
        assert client.post(f"{ACME}leave/").status_code == 204


class AMemberWhoseRoleChangesMeanwhile:
    """It was looked at when the request came in, and is looked at again when the others wait."""

    @pytest.fixture
    def place(self, acme, alice, bob):
        give_role(acme, bob, "admin")
        return UserTenantAssociation.objects.get(tenant=acme, user=bob)

    def test_lets_nobody_in(self, acme, place, dave):
        give_role(acme, place.user, "viewer")
        with pytest.raises(RoleError):
            add_member(acme, dave, "viewer", by=place)

    def test_does_not_take_out_who_was_made_an_owner(self, acme, place, dave):
        add_member(acme, dave, "member")
        member = UserTenantAssociation.objects.get(user=dave)
        give_role(acme, dave, "owner")
        with pytest.raises(RoleError):
            remove_member(member, by=place)

    def test_changes_nobody_when_taken_out(self, acme, place, dave):
        member = add_member(acme, dave, "member")
        UserTenantAssociation.objects.filter(pk=place.pk).delete()
        with pytest.raises(RoleError):
            change_role(member, "viewer", by=place)

    def test_is_not_made_a_member_again(self, acme, place):
        UserTenantAssociation.objects.filter(pk=place.pk).delete()
        with pytest.raises(NotMemberError):
            change_role(place, "viewer")


class Owners:
    def test_are_made_and_unmade_by_owners_only(self, as_user, acme, alice, bob, dave):
        give_role(acme, bob, "admin")
        admin = as_user(bob)
        assert admin.post(MEMBERS, {"email": dave.email, "role": "owner"}).status_code == 403
        assert admin.patch(f"{MEMBERS}{bob.pk}/", {"role": "owner"}).status_code == 403
        assert admin.patch(f"{MEMBERS}{alice.pk}/", {"role": "member"}).status_code == 403
        assert admin.delete(f"{MEMBERS}{alice.pk}/").status_code == 403
        assert as_user(alice).patch(f"{MEMBERS}{bob.pk}/", {"role": "owner"}).status_code == 200

    def test_do_not_leave_a_tenant_without_one(self, as_user, acme, alice):
        client = as_user(alice)
        assert client.delete(f"{MEMBERS}{alice.pk}/").status_code == 409
        assert client.patch(f"{MEMBERS}{alice.pk}/", {"role": "admin"}).status_code == 409
        assert client.get(ACME).json()["role"] == "owner"

    def test_who_take_each_other_out_at_once_leave_one(self, fleet):
        (initech,) = fleet.make("initech")
        users = [User.objects.create_user(f"{name}@example.com") for name in ("peter", "milton")]
        refused = []

        def take_out(member, start):
            connection.ensure_connection()
            start.wait()
            try:
                remove_member(member)
            except LastOwnerError as error:
                refused.append(error)
            finally:
                connection.close()

        for _ in range(ROUNDS):
            for user in users:
                give_role(initech, user, Role.OWNER)
            start = threading.Barrier(2)
            both = UserTenantAssociation.objects.filter(tenant=initech)
            threads = [threading.Thread(target=take_out, args=[member, start]) for member in both]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert UserTenantAssociation.objects.filter(tenant=initech, role=Role.OWNER).count() == 1
        assert len(refused) == ROUNDS


class TheFleet:
    PATHS = ("/api/v1/fleet/rollouts/", "/api/v1/fleet/heads/", "/api/v1/fleet/servers/")

    @pytest.mark.parametrize("path", PATHS)
    def test_is_for_staff(self, api, as_user, acme, alice, erin, path):
        assert api.get(path).status_code == 401
        assert as_user(alice).get(path).status_code == 403
        reply = as_user(erin).get(path)
        assert reply.status_code == 200
        assert set(reply.json()) == {"next", "previous", "results"}

    def test_shows_how_many_tenants_are_at_each_head(self, as_user, acme, globex, erin):
        Tenant.objects.filter(pk=globex.pk).update(head={})
        groups = as_user(erin).get("/api/v1/fleet/heads/").json()["results"]
        assert {group["behind"]: group["tenants"] for group in groups} == {False: 1, True: 1}

    def test_shows_rollouts_with_their_outcomes(self, as_user, erin):
        outcomes = {"total": 1, "migrated": 0, "up_to_date": 0, "failed": 1, "skipped": 0}
        Rollout.objects.create(state="failed", target="latest", process="here", started_by=erin, **outcomes)
        reply = as_user(erin).get("/api/v1/fleet/rollouts/")
        (shown,) = reply.json()["results"]
        assert shown["tenants"] == outcomes | {"pending": 0}
        assert shown["started_by"] == erin.email

    def test_takes_a_server_from_staff(self, as_user, alice, erin):
        server = {"name": "eu-1", "host": "10.0.0.7", "port": 5432, "region": "eu", "capacity": 500}
        assert as_user(alice).post("/api/v1/fleet/servers/", server).status_code == 403
        assert as_user(erin).post("/api/v1/fleet/servers/", server).status_code == 201
        assert Server.objects.filter(name="eu-1", host="10.0.0.7").exists()

    @pytest.mark.parametrize(
        "field",
        [
            {"host": "/var/run/postgresql"},
            {"host": "h passfile=/etc/passwd"},
            {"host": "h?service=x"},
            {"host": "@abstract"},
            {"host": "a,b"},
            {"port": 0},
            {"port": 70000},
            {"name": "a b"},
            {"capacity": -1},
        ],
    )
    def test_takes_no_server_that_is_more_than_a_host(self, as_user, erin, field):
        server = {"name": "eu-1", "host": "10.0.0.7", "port": 5432, "capacity": 500, **field}
        refused = as_user(erin).post("/api/v1/fleet/servers/", server)
        assert refused.status_code == 400
        assert wrong_fields(refused) == set(field)
