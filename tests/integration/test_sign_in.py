"""Guessing passwords is slowed down, for each account and for each sender, and locks nobody out."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts import brakes
from accounts.brakes import LOG_IN_FROM, LOG_IN_TO, Policy
from accounts.errors import TooManyTriesError
from accounts.models import Brake, User
from accounts.senders import sender_of

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
LOGIN = "/api/v1/auth/login/"
EMAIL = "frank@example.com"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def frank():
    return User.objects.create_user(EMAIL, PASSWORD)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when the test says so."""

    class Clock:
        now = timezone.now()

        def passes(self, **duration):
            self.now += timedelta(**duration)

    clock = Clock()
    monkeypatch.setattr(brakes.timezone, "now", lambda: clock.now)
    return clock


def log_in(api, password=PASSWORD, email=EMAIL, sender=HOME):
    return api.post(LOGIN, {"email": email, "password": password}, REMOTE_ADDR=sender)


def guess(api, times, **whom):
    return [log_in(api, f"guess {number}", **whom).status_code for number in range(times)]


class ThePolicy:
    def test_lets_some_pass_and_doubles_the_wait_up_to_an_end(self):
        policy = Policy("x", free=3, first=timedelta(seconds=1), longest=timedelta(seconds=5))
        waits = [policy.delay(failures).total_seconds() for failures in (1, 2, 3, 4, 5, 6, 10**6)]
        assert waits == [0, 0, 1, 2, 4, 5, 5]


class WrongPasswords:
    def test_are_429_after_some_with_the_time_to_wait(self, api, frank):
        assert guess(api, LOG_IN_TO.free) == [401] * LOG_IN_TO.free
        refused = log_in(api)
        assert (refused.status_code, refused["Retry-After"]) == (429, "1")

    def test_count_for_an_account_wherever_they_come_from(self, api, frank):
        for number in range(LOG_IN_TO.free):
            guess(api, 1, sender=f"203.0.113.{number}")
        assert log_in(api).status_code == 429

    def test_count_for_a_sender_whatever_account_he_tries(self, api, frank, monkeypatch):
        few = replace(LOG_IN_FROM, free=6)
        monkeypatch.setattr("accounts.backends.LOG_IN_FROM", few)
        emails = [f"nobody{number}@example.com" for number in range(few.free)]
        assert {guess(api, 1, email=email)[0] for email in emails} == {401}
        assert log_in(api).status_code == 429
        assert log_in(api, sender=ELSEWHERE).status_code == 200

    def test_count_for_an_account_that_does_not_exist_all_the_same(self, api, frank):
        known, unknown = (guess(api, LOG_IN_TO.free + 1, email=email) for email in (EMAIL, "nobody@example.com"))
        assert known == unknown

    def test_wait_longer_each_time(self, api, frank, clock):
        guess(api, LOG_IN_TO.free)
        waits = []
        for _ in range(9):
            refused = log_in(api)
            waits.append(int(refused["Retry-After"]))
            clock.passes(seconds=waits[-1])
            assert guess(api, 1) == [401]
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_do_not_count_while_they_wait(self, api, frank, clock):
        guess(api, LOG_IN_TO.free + 20)
        clock.passes(seconds=1)
        assert log_in(api).status_code == 200

    def test_are_forgotten(self, api, frank, clock):
        guess(api, LOG_IN_TO.free)
        clock.passes(hours=2)
        assert guess(api, LOG_IN_TO.free) == [401] * LOG_IN_TO.free

    def test_leave_no_rows_behind_for_ever(self, api, frank, clock):
        guess(api, 3)
        clock.passes(hours=2)
        guess(api, 1, email="nobody@example.com", sender=ELSEWHERE)
        assert Brake.objects.count() == 2

    def test_are_counted_before_they_are_looked_at(self, frank, monkeypatch):
        """Of many at once only some may pass, so a try that is still being looked at counts as well."""
        outcomes = []

        def looks_while_the_next_one_tries(*_, **__):
            try:
                outcomes.append(attempt())
            except TooManyTriesError:
                outcomes.append("refused")

        def attempt():
            authenticate(RequestFactory().post(LOGIN), username=EMAIL, password="guess")
            return "looked at"

        monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.authenticate", looks_while_the_next_one_tries)
        attempt()
        assert outcomes == ["refused"] + ["looked at"] * (LOG_IN_TO.free - 1)

    def test_in_the_admin_are_slowed_down_too(self, client, frank):
        page = reverse("admin:login")
        for _ in range(LOG_IN_TO.free):
            client.post(page, {"username": EMAIL, "password": "guess"})
        reply = client.post(page, {"username": EMAIL, "password": PASSWORD})
        assert "Too many tries" in reply.content.decode()


class AUser:
    def test_is_not_kept_out_by_what_others_guess_elsewhere(self, api, frank):
        assert log_in(api, sender=HOME).status_code == 200
        guess(api, LOG_IN_TO.free + 1, sender=ELSEWHERE)
        assert log_in(api, sender=ELSEWHERE).status_code == 429
        assert log_in(api, sender=HOME).status_code == 200

    def test_may_mistype_now_and_then(self, api, frank):
        for _ in range(3):
            guess(api, LOG_IN_TO.free - 1)
            assert log_in(api).status_code == 200

    def test_may_log_in_twice_at_once(self, api, frank, clock):
        """The second read the clock before the first, whose row it then waited for."""
        log_in(api)
        clock.passes(milliseconds=-1)
        assert log_in(api).status_code == 200


class ASender:
    @pytest.mark.parametrize(
        ("address", "sender"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ],
    )
    def test_is_an_address_and_of_ipv6_a_network(self, address, sender):
        assert sender_of(RequestFactory().get("/", REMOTE_ADDR=address)) == sender

    def test_does_not_change_by_what_he_says_of_himself(self):
        request = RequestFactory().get("/", REMOTE_ADDR=HOME, HTTP_X_FORWARDED_FOR=ELSEWHERE)
        assert sender_of(request) == HOME
