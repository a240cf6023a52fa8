"""Registering, logging in and out, and oneself, over HTTP."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.core.cache import caches
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.models import Token, User
from platform_site import settings as platform_settings
from tests.support.problems import wrong_fields

pytestmark = pytest.mark.django_db
migration = import_module("accounts.migrations.0002_tokens_brakes_and_verified_emails")

PASSWORD = "correct horse battery"
REGISTER, LOGIN, LOGOUT, ME = (f"/api/v1/{path}/" for path in ("auth/register", "auth/login", "auth/logout", "me"))


@pytest.fixture(autouse=True)
def nobody_was_throttled():
    caches["limits"].clear()


@pytest.fixture
def frank():
    return User.objects.create_user("frank@example.com", PASSWORD, name="Frank")


def log_in(api, email="frank@example.com", password=PASSWORD):
    return api.post(LOGIN, {"email": email, "password": password})


class Registering:
    def test_makes_a_user_who_can_log_in(self, api):
        made = api.post(REGISTER, {"email": "Frank@Example.com", "password": PASSWORD, "name": "Frank"})
        assert made.status_code == 201
        assert made.json()["email"] == "frank@example.com"
        assert log_in(api).status_code == 200

    def test_never_gives_the_password_back(self, api):
        made = api.post(REGISTER, {"email": "frank@example.com", "password": PASSWORD})
        assert set(made.json()) == {"id", "email", "name", "created_at"}

    def test_refuses_an_email_taken_in_another_case(self, api, frank):
        refused = api.post(REGISTER, {"email": "FRANK@example.com", "password": PASSWORD})
        assert refused.status_code == 400
        assert refused.json()["detail"] == "email: A user with this email already exists."

    def test_refuses_an_email_taken_between_the_look_up_and_the_insert(self, api, frank, monkeypatch):
        monkeypatch.setattr("rest_framework.validators.qs_exists", lambda queryset: False)
        refused = api.post(REGISTER, {"email": "frank@example.com", "password": PASSWORD})
        assert refused.status_code == 400
        assert wrong_fields(refused) == {"email"}

    def test_refuses_a_weak_password(self, api):
        refused = api.post(REGISTER, {"email": "frank@example.com", "password": "12345"})
        assert refused.status_code == 400
        assert wrong_fields(refused) == {"password"}

    def test_refuses_a_password_like_the_email(self, api):
        refused = api.post(REGISTER, {"email": "frankenstein@example.com", "password": "frankenstein"})
        assert refused.status_code == 400

    def test_does_not_let_one_make_oneself_staff(self, api):
        api.post(REGISTER, {"email": "frank@example.com", "password": PASSWORD, "is_staff": True, "is_superuser": True})
        frank = User.objects.get(email="frank@example.com")
        assert not frank.is_staff
        assert not frank.is_superuser


class LoggingIn:
    def test_gives_a_token_its_expiry_and_the_user(self, api, frank):
        reply = log_in(api).json()
        assert set(reply) == {"token", "expiry", "user"}
        assert reply["user"]["id"] == str(frank.id)
        api.credentials(HTTP_AUTHORIZATION=f"Token {reply['token']}")
        assert api.get(ME).json()["email"] == "frank@example.com"

    def test_takes_the_email_in_any_case(self, api, frank):
        assert log_in(api, email="FRANK@Example.com").status_code == 200

    def test_says_the_same_to_an_unknown_email_and_a_wrong_password(self, api, frank):
        wrong, unknown = log_in(api, password="guess"), log_in(api, email="nobody@example.com")
        assert wrong.status_code == unknown.status_code == 401
        assert wrong.json()["detail"] == unknown.json()["detail"] == "Email or password is wrong."
        assert wrong.json()["code"] == unknown.json()["code"]

    def test_refuses_an_inactive_user(self, api, frank):
        User.objects.update(is_active=False)
        assert log_in(api).status_code == 401

    def test_does_not_count_logins_that_succeed(self, api, frank):
        assert {log_in(api).status_code for _ in range(12)} == {200}

    def test_needs_no_valid_token(self, api, frank):
        api.credentials(HTTP_AUTHORIZATION="Token gone")
        assert log_in(api).status_code == 200

    @pytest.mark.parametrize("body", [{}, [], {"email": 1}, {"email": "a@b.c\0", "password": "x"}, {"email": None}])
    def test_refuses_what_is_no_credentials(self, api, body):
        assert api.post(LOGIN, body).status_code == 400


class LoggingOut:
    def test_ends_the_token(self, as_user, frank):
        client = as_user(frank)
        assert client.post(LOGOUT).status_code == 204
        assert client.get(ME).status_code == 401

    def test_is_denied_to_nobody(self, api):
        assert api.post(LOGOUT).status_code == 401


class Myself:
    def test_is_who_the_token_belongs_to(self, as_user, frank):
        assert as_user(frank).get(ME).json()["name"] == "Frank"

    def test_may_be_renamed(self, as_user, frank):
        reply = as_user(frank).patch(ME, {"name": "Francis", "email": "other@example.com", "is_staff": True})
        assert reply.status_code == 200
        frank.refresh_from_db()
        assert (frank.name, frank.email, frank.is_staff) == ("Francis", "frank@example.com", False)

    def test_is_denied_to_nobody(self, api):
        assert api.get(ME).status_code == 401
        assert api.patch(ME, {"name": "x"}).status_code == 401

    def test_is_denied_with_an_expired_token(self, as_user, frank):
        client = as_user(frank)
        Token.objects.update(expiry=timezone.now() - timedelta(seconds=1))
        assert client.get(ME).status_code == 401


class AToken:
    def test_costs_a_request_one_query_however_many_its_user_has(self, as_user, frank, django_assert_num_queries):
        clients = [as_user(frank) for _ in range(3)]
        with django_assert_num_queries(1) as asked:
            assert clients[0].get(ME).status_code == 200
        assert "digest" in asked.captured_queries[0]["sql"]

    def test_that_has_expired_goes_when_its_user_gets_another(self, api, as_user, frank, erin):
        for user in (frank, erin):
            as_user(user)
        Token.objects.update(expiry=timezone.now() - timedelta(seconds=1))
        as_user(frank)
        log_in(api)
        assert [Token.objects.filter(user=user).count() for user in (frank, erin)] == [2, 1]


class AUser:
    def test_has_an_argon2_password(self, settings):
        # The suite itself hashes faster.
        settings.PASSWORD_HASHERS = platform_settings.PASSWORD_HASHERS
        assert User.objects.create_user("grace@example.com", PASSWORD).password.startswith("argon2$argon2id$")

    def test_has_a_lower_case_email_at_once(self):
        assert User.objects.create_user("Grace@Example.com").email == "grace@example.com"

    def test_has_a_lower_case_email_even_past_the_orm(self, frank):
        with pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute("UPDATE accounts_user SET email = 'Frank@example.com'")

    def test_needs_an_email(self):
        with pytest.raises(ValueError, match="email"):
            User.objects.create_user("")


class TokensOfBefore:
    def test_are_taken_over_from_knox(self, api, frank):
        _, token = Token.objects.create(user=frank)
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE knox_authtoken AS SELECT digest, token_key, created, expiry, user_id FROM accounts_token"
            )
            cursor.execute("DELETE FROM accounts_token")
            cursor.execute(migration.TAKE_OVER_KNOX_TOKENS)
        assert api.get(ME, HTTP_AUTHORIZATION=f"Token {token}").json()["email"] == frank.email
        assert "knox_authtoken" not in connection.introspection.table_names()
