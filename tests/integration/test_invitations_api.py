"""Inviting by e-mail, and joining by the link."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from tenants import invitations
from tenants.errors import InvalidInvitationError
from tenants.invitations import INVITED, accept, find_invitation, invite, link_of
from tenants.models import Invitation, Tenant, UserTenantAssociation
from tests.support.letters import letters, link_in

ACME = "/api/v1/tenants/acme/"
INVITATIONS = f"{ACME}invitations/"
PASSWORD = "correct horse battery staple"
NEW = "frank@example.com"
ROUNDS = 10


def send(client, email, role="member"):
    return client.post(INVITATIONS, {"email": email, "role": role})


def give_role(tenant, user, role):
    UserTenantAssociation.objects.filter(tenant=tenant, user=user).update(role=role)


@pytest.fixture
def link(as_user, acme, alice):
    """Sent to Dave, who has an account and belongs to no tenant."""
    assert send(as_user(alice), "Dave@example.com").status_code == 201
    return link_in(letters()[-1])


class AnInvitation:
    def test_lets_in_who_is_logged_in_as_the_address(self, as_user, link, dave):
        client = as_user(dave)
        shown = client.get(link).json()
        assert (shown["tenant"], shown["role"], shown["email"]) == ("acme", "member", dave.email)
        assert client.post(f"{link}accept/").json()["role"] == "member"
        assert client.get(ACME).status_code == 200

    def test_lets_in_who_registers_by_it(self, as_user, api, acme, alice, settings):
        settings.EMAIL_VERIFICATION = True
        send(as_user(alice), NEW, "viewer")
        made = api.post(f"{link_in(letters()[-1])}register/", {"name": "Frank", "password": PASSWORD})
        assert made.status_code == 201
        assert made.json()["user"]["email"] == NEW
        api.credentials(HTTP_AUTHORIZATION=f"Token {made.json()['token']}")
        assert api.get(ACME).json()["role"] == "viewer"

    def test_serves_once(self, as_user, link, dave):
        client = as_user(dave)
        client.post(f"{link}accept/")
        client.post(f"{ACME}leave/")
        assert client.get(link).status_code == client.post(f"{link}accept/").status_code == 404

    def test_is_for_its_address_only(self, as_user, link, carol):
        assert as_user(carol).post(f"{link}accept/").status_code == 403

    def test_is_not_accepted_by_nobody(self, api, link):
        assert api.post(f"{link}accept/").status_code == 401

    def test_makes_no_second_account(self, api, link, dave):
        refused = api.post(f"{link}register/", {"name": "Dave", "password": PASSWORD})
        assert refused.status_code == 400
        assert Invitation.objects.count() == 1

    def test_wants_a_good_password(self, api, as_user, acme, alice):
        send(as_user(alice), NEW)
        refused = api.post(f"{link_in(letters()[-1])}register/", {"name": "Frank", "password": "12345"})
        assert refused.status_code == 400
        assert not User.objects.filter(email=NEW).exists()

    def test_expires(self, as_user, link, dave):
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert as_user(dave).post(f"{link}accept/").status_code == 404

    def test_may_be_taken_back(self, as_user, acme, alice, link, dave):
        client = as_user(alice)
        (row,) = client.get(INVITATIONS).json()["results"]
        assert (row["email"], row["invited_by"]) == (dave.email, alice.email)
        assert client.delete(f"{INVITATIONS}{row['id']}/").status_code == 204
        assert client.get(INVITATIONS).json()["results"] == []
        assert as_user(dave).post(f"{link}accept/").status_code == 404

    def test_is_good_no_longer_when_sent_again(self, as_user, alice, link, dave):
        send(as_user(alice), dave.email, "viewer")
        assert as_user(dave).post(f"{link}accept/").status_code == 404
        assert as_user(dave).post(f"{link_in(letters()[-1])}accept/").json()["role"] == "viewer"

    @pytest.mark.parametrize("forged", ["x", "x:y", "0" * 32 + ":x", "%00", "ä"])
    def test_is_none_when_made_up(self, api, as_user, dave, forged):
        path = f"/api/v1/invitations/{forged}/"
        assert api.get(path).status_code == 404
        assert as_user(dave).post(f"{path}accept/").status_code == 404
        assert api.post(f"{path}register/", {"name": "x", "password": PASSWORD}).status_code == 404

    def test_is_503_while_the_tenant_is_not_served(self, as_user, acme, link, dave):
        Tenant.objects.filter(pk=acme.pk).update(state="suspended")
        assert as_user(dave).post(f"{link}accept/").status_code == 503
        assert Invitation.objects.count() == 1

    def test_is_not_sent_to_members(self, as_user, acme, alice, bob):
        assert send(as_user(alice), bob.email.upper()).status_code == 409
        assert letters() == []

    def test_is_not_sent_to_one_address_for_ever(self, as_user, acme, alice):
        client = as_user(alice)
        replies = [send(client, NEW).status_code for _ in range(INVITED.free + 1)]
        assert replies == [201] * INVITED.free + [429]

    def test_of_an_owner_is_for_owners(self, as_user, acme, alice, bob):
        give_role(acme, bob, "admin")
        assert send(as_user(bob), NEW, "owner").status_code == 403
        assert send(as_user(alice), NEW, "owner").status_code == 201
        row = Invitation.objects.get()
        assert as_user(bob).delete(f"{INVITATIONS}{row.pk}/").status_code == 403
        assert as_user(alice).delete(f"{INVITATIONS}{row.pk}/").status_code == 204

    @pytest.mark.parametrize("body", [{}, {"email": "x"}, {"email": NEW, "role": "god"}, {"email": "a\0@b.c"}])
    def test_is_refused_without_an_address_and_a_role(self, as_user, acme, alice, body):
        assert as_user(alice).post(INVITATIONS, body).status_code == 400

    def test_that_two_accept_at_once_serves_once(self, fleet):
        (initech,) = fleet.make("initech")
        peter, milton = (User.objects.create_user(f"{name}@example.com") for name in ("peter", "milton"))
        invitation = find_invitation(link_of(invite(initech, milton.email, "viewer", peter)))
        letters()
        refused, start = [], threading.Barrier(2)

        def join():
            connection.ensure_connection()
            start.wait()
            try:
                accept(invitation, milton)
            except InvalidInvitationError as error:
                refused.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=join) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1
        assert initech.associations.count() == 1

    def test_that_two_send_at_once_is_good_once(self, fleet, monkeypatch):
        """Each takes back what was sent before, and does not see what the other is sending."""
        monkeypatch.setattr(invitations, "INVITED", replace(INVITED, free=2))
        (initech,) = fleet.make("initech")
        peter = User.objects.create_user("peter@example.com")
        failed = []

        def send_one(address, start):
            connection.ensure_connection()
            start.wait()
            try:
                invite(initech, address, "viewer", peter)
            except Exception as error:
                failed.append(error)
            finally:
                connection.close()

        for number in range(ROUNDS):
            start = threading.Barrier(2)
            address = f"milton{number}@example.com"
            threads = [threading.Thread(target=send_one, args=[address, start]) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        letters()
        assert failed == []
        assert initech.invitations.count() == ROUNDS
