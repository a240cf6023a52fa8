"""How many requests a minute one may send, and what the sender is told of it."""

import pytest
from django.core.cache import caches

from tenants.api import limits
from tenants.models import UserTenantAssociation

ACME, ME = "/api/v1/tenants/acme/", "/api/v1/me/"


@pytest.fixture(autouse=True)
def nobody_has_sent_anything(settings, monkeypatch):
    caches["limits"].clear()
    settings.USER_REQUESTS_PER_MINUTE, settings.TENANT_REQUESTS_PER_MINUTE = 3, 5
    monkeypatch.setattr(limits.Limit, "clock", staticmethod(lambda: 1_000_000_010))  # 10 s before the next


class AUser:
    def test_is_told_what_is_left(self, as_user, acme, bob):
        client = as_user(bob)
        client.get(ME)
        reply = client.get(ACME)
        assert reply["RateLimit-Policy"] == '"user";q=3;w=60, "tenant";q=5;w=60'
        assert reply["RateLimit"] == '"user";r=1;t=10, "tenant";r=4;t=10'

    def test_is_refused_above_the_limit_until_the_next_minute(self, as_user, acme, bob, monkeypatch):
        client = as_user(bob)
        assert {client.get(ME).status_code for _ in range(3)} == {200}
        refused = client.get(ME)
        assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
        assert refused["Retry-After"] == "10"
        assert refused["RateLimit"] == '"user";r=0;t=10'
        monkeypatch.setattr(limits.Limit, "clock", staticmethod(lambda: 1_000_000_020))
        assert client.get(ME).status_code == 200

    def test_has_one_limit_whatever_the_token(self, as_user, acme, bob):
        assert [as_user(bob).get(ME).status_code for _ in range(4)] == [200, 200, 200, 429]

    def test_does_not_use_up_anothers(self, as_user, acme, alice, bob):
        for _ in range(4):
            as_user(bob).get(ME)
        assert as_user(alice).get(ME).status_code == 200


class ATenant:
    def test_has_a_limit_for_all_its_members_together(self, as_user, acme, alice, bob):
        both = [as_user(alice), as_user(bob)]
        assert {both[number % 2].get(ACME).status_code for number in range(5)} == {200}
        refused = both[1].get(ACME)
        assert refused.status_code == 429
        assert '"tenant";r=0' in refused["RateLimit"]

    def test_is_not_used_up_by_strangers(self, as_user, acme, bob, dave):
        for _ in range(6):
            as_user(dave).get(ACME)
        assert as_user(bob).get(ACME).status_code == 200

    def test_does_not_use_up_anothers(self, as_user, acme, globex, alice, bob, settings):
        settings.USER_REQUESTS_PER_MINUTE = 0
        UserTenantAssociation.objects.create(user=bob, tenant=globex)
        for _ in range(6):
            as_user(bob).get(ACME)
        assert as_user(bob).get("/api/v1/tenants/globex/").status_code == 200


class TheCounter:
    def test_loses_none_of_many_at_once(self):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(limits._count, ["key"] * 200)) == list(range(1, 201))

    def test_that_is_out_of_order_limits_nobody_and_says_so(self, as_user, acme, bob, settings, caplog, tmp_path):
        (tmp_path / "no-folder").touch()
        broken = {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": tmp_path / "no-folder",
        }
        settings.CACHES = settings.CACHES | {"limits": broken}
        assert {as_user(bob).get(ME).status_code for _ in range(5)} == {200}
        assert "does not answer" in caplog.text

    def test_may_be_switched_off(self, as_user, acme, bob, settings):
        settings.USER_REQUESTS_PER_MINUTE = settings.TENANT_REQUESTS_PER_MINUTE = 0
        reply = as_user(bob).get(ACME)
        assert "RateLimit" not in reply
        assert "RateLimit-Policy" not in reply
