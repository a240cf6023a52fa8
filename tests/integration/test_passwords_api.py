"""Changing a password, getting a new one by e-mail, and verifying an address."""

import logging
import threading
from contextlib import suppress
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts import links
from accounts.brakes import MAIL_TO, PRESENT_PASSWORD
from accounts.errors import InvalidLinkError, PasswordChangedError
from accounts.models import Token, User
from tests.support.letters import letters, link_in

OLD, NEW = "correct horse battery", "staple battery horse"
EMAIL = "frank@example.com"
LOGIN, ME, PASSWORD, RESET, REGISTER, VERIFY = (
    f"/api/v1/{path}/"
    for path in ("auth/login", "me", "auth/password", "auth/password/reset", "auth/register", "auth/verify-email")
)


@pytest.fixture
def frank(db):
    return User.objects.create_user(EMAIL, OLD)


def can_log_in(api, password):
    return api.post(LOGIN, {"email": EMAIL, "password": password}).status_code == 200


def change(client, **changes):
    return client.post(PASSWORD, {"present_password": OLD, "password": NEW, **changes})


class ChangingAPassword:
    def test_keeps_the_present_token_and_ends_the_others(self, as_user, api, frank):
        here, there = as_user(frank), as_user(frank)
        assert change(here).status_code == 204
        assert here.get(ME).status_code == 200
        assert there.get(ME).status_code == 401
        assert can_log_in(api, NEW)
        assert not can_log_in(api, OLD)

    def test_keeps_the_present_session_and_ends_the_others(self, client, as_user, frank):
        from django.test import Client

        here, there = client, Client()
        for browser in (here, there):
            browser.force_login(frank)
        reply = here.post(PASSWORD, {"present_password": OLD, "password": NEW}, content_type="application/json")
        assert reply.status_code == 204
        assert here.get(ME).status_code == 200
        assert there.get(ME).status_code == 401
        assert Token.objects.count() == 0

    def test_needs_the_present_one(self, as_user, api, frank):
        refused = change(as_user(frank), present_password="guess")
        assert refused.status_code == 400
        assert can_log_in(api, OLD)

    def test_is_no_way_to_guess_the_present_one(self, as_user, frank):
        client = as_user(frank)
        for _ in range(PRESENT_PASSWORD.free):
            change(client, present_password="guess")
        assert change(client).status_code == 429

    def test_refuses_a_weak_one(self, as_user, frank):
        assert change(as_user(frank), password="12345").status_code == 400

    def test_is_denied_to_nobody(self, api, db):
        assert change(api).status_code == 401

    def test_by_somebody_else_ends_all_tokens(self, as_user, frank, monkeypatch):
        """Here by a command on the server; the admin's form saves it the same way."""
        client = as_user(frank)
        monkeypatch.setattr("getpass.getpass", lambda prompt: NEW)
        call_command("changepassword", EMAIL, stdout=StringIO())
        assert client.get(ME).status_code == 401


class AForgottenPassword:
    @pytest.fixture
    def link(self, api, frank):
        assert api.post(RESET, {"email": "Frank@Example.com"}).status_code == 202
        (letter,) = letters()
        assert letter.to == [EMAIL]
        return link_in(letter)

    def test_is_set_anew_by_a_link(self, api, link):
        assert api.get(link).json() == {"email": EMAIL}
        assert api.post(link, {"password": NEW}).status_code == 204
        assert can_log_in(api, NEW)

    def test_ends_all_tokens_and_sessions_when_set_anew(self, as_user, client, api, frank, link):
        token = as_user(frank)
        client.force_login(frank)
        frank_again = api.post(RESET, {"email": EMAIL})
        assert frank_again.status_code == 202
        api.post(link_in(letters()[-1]), {"password": NEW})
        assert token.get(ME).status_code == 401
        assert client.get(ME).status_code == 401

    def test_is_set_once_by_a_link(self, api, link):
        api.post(link, {"password": NEW})
        again = api.post(link, {"password": "other battery horse"})
        assert again.status_code == 404
        assert api.get(link).status_code == 404
        assert can_log_in(api, NEW)

    def test_stays_where_the_link_is_old(self, api, link, monkeypatch, settings):
        later = PasswordResetTokenGenerator()._now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT + 1)
        monkeypatch.setattr(PasswordResetTokenGenerator, "_now", lambda self: later)
        assert api.post(link, {"password": NEW}).status_code == 404

    @pytest.mark.parametrize("forged", ["x", "0-0", "%00", "ä-1", "0" * 500])
    def test_stays_where_the_link_is_made_up(self, api, frank, forged):
        assert api.post(f"{RESET}{forged}/", {"password": NEW}).status_code == 404

    def test_stays_where_the_link_is_somebody_elses(self, api, link):
        grace = User.objects.create_user("grace@example.com", OLD)
        token = link.rstrip("/").partition("-")[2]
        assert api.post(f"{RESET}{grace.pk.hex}-{token}/", {"password": NEW}).status_code == 404

    def test_may_not_become_a_weak_one(self, api, link):
        assert api.post(link, {"password": "12345"}).status_code == 400
        assert api.post(link, {"password": NEW}).status_code == 204

    def test_of_nobody_gets_the_same_reply(self, api, frank):
        known, unknown = (api.post(RESET, {"email": email}) for email in (EMAIL, "nobody@example.com"))
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
        assert [letter.to for letter in letters()] == [[EMAIL]]

    def test_of_nobody_gets_the_same_refusal(self, api, frank):
        replies = {
            email: [api.post(RESET, {"email": email}).status_code for _ in range(MAIL_TO.free + 1)]
            for email in (EMAIL, "nobody@example.com")
        }
        assert replies[EMAIL] == replies["nobody@example.com"] == [202] * MAIL_TO.free + [429]

    def test_is_answered_before_the_mail_is_sent(self, api, frank, monkeypatch):
        """A mail server takes its time, and would tell by it that there is somebody."""
        sent, answered = threading.Event(), threading.Event()

        def deliver(message):
            assert answered.wait(30)
            sent.set()

        monkeypatch.setattr("django.core.mail.EmailMessage.send", deliver)
        api.post(RESET, {"email": EMAIL})
        assert not sent.is_set()
        answered.set()
        letters()
        assert sent.is_set()

    def test_of_an_inactive_user_stays(self, api, frank):
        User.objects.update(is_active=False)
        api.post(RESET, {"email": EMAIL})
        assert letters() == []

    def test_names_the_site_whatever_host_was_asked(self, api, frank, settings):
        settings.ALLOWED_HOSTS = ["*"]
        api.post(RESET, {"email": EMAIL}, HTTP_HOST="evil.example")
        assert "evil.example" not in letters()[0].body


class TwoWhoComeAtOnce:
    def test_set_one_password_by_one_link(self, fleet, monkeypatch):
        """Both look at the link before either has set a password, unless the second waits for the first."""
        frank = User.objects.create_user(EMAIL, OLD)
        links.send_reset(EMAIL)
        link = link_in(letters()[-1]).rstrip("/").rpartition("/")[2]
        both, refused = threading.Barrier(2), []
        check = PasswordResetTokenGenerator.check_token

        def checks_as_the_other_does(tokens, user, token):
            checked = check(tokens, user, token)
            with suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.3)
            return checked

        def reset(password):
            try:
                links.reset_password(link, password)
            except InvalidLinkError as error:
                refused.append(error)
            finally:
                connection.close()

        monkeypatch.setattr(PasswordResetTokenGenerator, "check_token", checks_as_the_other_does)
        threads = [threading.Thread(target=reset, args=[password]) for password in (NEW, "other battery horse")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1
        frank.refresh_from_db()
        assert not frank.check_password(OLD)

    def test_leave_no_token_of_the_old_password(self, frank):
        """One logs in by the old password; it is changed between that and the making of the token."""
        known = User.objects.get(pk=frank.pk)
        frank.set_password(NEW)
        frank.save()
        with pytest.raises(PasswordChangedError):
            Token.objects.issue(known, name="late", lifetime=timedelta(days=1))


class AnAddress:
    @pytest.fixture(autouse=True)
    def _must_be_verified(self, settings):
        settings.EMAIL_VERIFICATION = True

    @pytest.fixture
    def link(self, api, db):
        assert api.post(REGISTER, {"email": EMAIL, "password": OLD}).status_code == 201
        return link_in(letters()[-1])

    def test_is_verified_before_its_user_logs_in(self, api, link):
        refused = api.post(LOGIN, {"email": EMAIL, "password": OLD})
        assert refused.status_code == 403
        assert api.post(link).status_code == 200
        assert can_log_in(api, OLD)

    def test_is_verified_once_by_a_link(self, api, link):
        api.post(link)
        assert api.post(link).status_code == 404

    def test_gets_another_link_where_it_is_not_verified(self, api, link):
        replies = [api.post(VERIFY, {"email": email}) for email in (EMAIL, "nobody@example.com")]
        assert len({(reply.status_code, reply.content) for reply in replies}) == 1
        assert len(letters()) == 2
        api.post(link_in(letters()[-1]))
        api.post(VERIFY, {"email": EMAIL})
        assert len(letters()) == 2

    def test_is_not_told_by_a_wrong_password(self, api, link):
        assert api.post(LOGIN, {"email": EMAIL, "password": "guess"}).status_code == 401

    def test_is_verified_by_a_new_password_too(self, api, frank):
        api.post(RESET, {"email": EMAIL})
        api.post(link_in(letters()[-1]), {"password": NEW})
        assert can_log_in(api, NEW)

    def test_of_whoever_was_made_on_the_server_is_taken_as_it_is(self, api, db):
        User.objects.create_superuser(EMAIL, OLD)
        assert can_log_in(api, OLD)

    def test_need_not_be_verified_by_default(self, api, db, settings):
        from platform_site import settings as platform_settings

        settings.EMAIL_VERIFICATION = platform_settings.EMAIL_VERIFICATION
        api.post(REGISTER, {"email": EMAIL, "password": OLD})
        assert can_log_in(api, OLD)
        assert letters() == []


class ATokenByName:
    TOKENS = "/api/v1/auth/tokens/"

    def make(self, client, **fields):
        return client.post(self.TOKENS, {"name": "nightly export", **fields})

    def test_is_shown_once_and_lets_its_program_in(self, as_user, api, frank):
        client = as_user(frank)
        expiry = (timezone.now() + timedelta(days=90)).isoformat()
        made = self.make(client, expiry=expiry)
        assert made.status_code == 201
        api.credentials(HTTP_AUTHORIZATION=f"Token {made.json()['token']}")
        assert api.get(ME).status_code == 200
        rows = {row["name"]: row for row in client.get(self.TOKENS).json()["results"]}
        assert set(rows["nightly export"]) == {"id", "name", "tenant", "created_at", "expiry", "is_present"}
        assert [row["is_present"] for row in rows.values()] == [False, True]

    def test_may_be_revoked(self, as_user, api, frank):
        client = as_user(frank)
        made = self.make(client).json()
        assert client.delete(f"{self.TOKENS}{made['id']}/").status_code == 204
        api.credentials(HTTP_AUTHORIZATION=f"Token {made['token']}")
        assert api.get(ME).status_code == 401

    def test_is_its_users_own(self, as_user, frank):
        made = self.make(as_user(frank)).json()
        grace = as_user(User.objects.create_user("grace@example.com"))
        assert grace.delete(f"{self.TOKENS}{made['id']}/").status_code == 404
        assert made["id"] not in {row["id"] for row in grace.get(self.TOKENS).json()["results"]}

    def test_ends(self, as_user, frank):
        client = as_user(frank)
        self.make(client)
        Token.objects.filter(name="nightly export").update(expiry=timezone.now() - timedelta(seconds=1))
        assert len(client.get(self.TOKENS).json()["results"]) == 1

    @pytest.mark.parametrize("expiry", ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "soon", None])
    def test_is_refused_with_an_end_that_is_none(self, as_user, frank, expiry):
        assert self.make(as_user(frank), expiry=expiry).status_code == 400

    def test_is_refused_without_a_name(self, as_user, frank):
        assert self.make(as_user(frank), name="").status_code == 400

    def test_is_denied_to_nobody(self, api, db):
        assert api.get(self.TOKENS).status_code == self.make(api).status_code == 401

    @pytest.mark.parametrize("token", ["\xff", "a\xe4", "ab-cd", "x" * 2000])
    def test_that_is_none_lets_nobody_in(self, api, db, token):
        api.credentials(HTTP_AUTHORIZATION=f"Token {token}")
        assert api.get(ME).status_code == 401


class LoggingOutEverywhere:
    EVERYWHERE = "/api/v1/auth/logout/everywhere/"

    def test_ends_tokens_and_sessions(self, as_user, client, frank):
        here, there = as_user(frank), as_user(frank)
        client.force_login(frank)
        assert here.post(self.EVERYWHERE).status_code == 204
        assert {one.get(ME).status_code for one in (here, there, client)} == {401}

    def test_works_from_a_browser(self, as_user, client, frank):
        there = as_user(frank)
        client.force_login(frank)
        assert client.post(self.EVERYWHERE).status_code == 204
        assert {one.get(ME).status_code for one in (there, client)} == {401}

    def test_leaves_others_in(self, as_user, frank):
        grace = as_user(User.objects.create_user("grace@example.com"))
        as_user(frank).post(self.EVERYWHERE)
        assert grace.get(ME).status_code == 200

    def test_is_denied_to_nobody(self, api, db):
        assert api.post(self.EVERYWHERE).status_code == 401

    def test_here_ends_the_session_of_a_browser(self, client, frank):
        client.force_login(frank)
        assert client.post("/api/v1/auth/logout/").status_code == 204
        assert client.get(ME).status_code == 401


class ALinkInALogLine:
    """Case 37. Django writes down the path of each request that it refuses."""

    @pytest.fixture
    def log(self):
        (handler,) = (one for one in logging.getLogger("django").handlers if type(one) is logging.StreamHandler)
        written = StringIO()
        before = handler.setStream(written)
        yield written
        handler.setStream(before)

    def test_is_hidden_while_it_is_still_good(self, api, frank, log):
        api.post(RESET, {"email": EMAIL})
        path = link_in(letters()[0])
        assert api.post(path, {"password": "12345"}).status_code == 400
        assert f"{RESET}***/" in log.getvalue()
        assert path.split("/")[-2] not in log.getvalue()
        assert api.post(path, {"password": NEW}).status_code == 204

    @pytest.mark.parametrize("path", [VERIFY + "{}/", "/api/v1/invitations/{}/", "/api/v1/invitations/{}/accept/"])
    def test_is_hidden_of_each_kind(self, api, db, log, path):
        api.post(path.format("s3cret-link:xyz"))
        assert "***/" in log.getvalue()
        assert "s3cret" not in log.getvalue()
