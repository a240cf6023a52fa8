"""A user's place in the request's tenant comes with his token, in one query, and opens that tenant only."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from rest_framework.test import APIRequestFactory, force_authenticate

from accounts.models import Token, User
from tenant_data.api.documents import DocumentsView
from tenants.api import token_lookup
from tenants.context import use_tenant
from tenants.models import Role, UserTenantAssociation
from tenants.permissions import PLACE

ACME = "/api/v1/tenants/acme/documents/"


def looked_up(token, tenant) -> Token:
    found = token_lookup.find(token.digest, tenant.pk)
    assert found is not None
    return found


@pytest.fixture
def token_with_place(alice, acme) -> Token:
    """Alice's token, as it is found where a request names acme."""
    token, _ = Token.objects.create(user=alice)
    return looked_up(token, acme)


def values_of(instance) -> dict[str, object]:
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields}


def answer_to(user, token, tenant) -> int:
    request = APIRequestFactory().get(f"/api/v1/tenants/{tenant.slug}/documents/")
    request.tenant = tenant  # type: ignore[attr-defined]  # as the middleware has it
    force_authenticate(request, user, token)
    with use_tenant(tenant):
        return DocumentsView.as_view()(request, slug=tenant.slug).status_code


class ALookUp:
    def test_finds_what_django_finds(self, alice, acme):
        token, _ = Token.objects.create(user=alice, name="export", tenant_id=acme.pk)
        found = looked_up(token, acme)
        place = UserTenantAssociation.objects.get(user=alice, tenant=acme)
        by_django = [Token.objects.get(pk=token.pk), User.objects.get(pk=alice.pk), place]
        for mine, djangos in zip([found, found.user, getattr(found, PLACE)], by_django, strict=True):
            assert values_of(mine) == values_of(djangos)

    def test_finds_no_place_of_another_user_or_in_another_tenant(self, alice, carol, acme, globex):
        tokens = [Token.objects.create(user=user)[0] for user in (alice, carol)]
        places = [getattr(looked_up(token, tenant), PLACE) for token in tokens for tenant in (acme, globex)]
        assert [place and (place.user, place.tenant) for place in places] == [
            (alice, acme),
            None,
            None,
            (carol, globex),
        ]

    def test_finds_nothing_by_a_digest_that_no_token_has(self, alice, acme):
        assert token_lookup.find("0" * 128, acme.pk) is None


class APlaceThatCameWithAToken:
    def test_costs_no_query_of_its_own(self, as_user, alice, django_assert_num_queries):
        client = as_user(alice)
        # The tenant by its slug, which no test remembers, and the token.
        with django_assert_num_queries(2):
            assert client.get(ACME).status_code == HTTPStatus.OK

    def test_is_as_it_is_now(self, as_user, alice):
        client = as_user(alice)
        assert client.post(ACME, {"title": "Plan", "body": ""}).status_code == HTTPStatus.CREATED
        UserTenantAssociation.objects.filter(user=alice).update(role=Role.VIEWER)
        assert client.post(ACME, {"title": "Plan", "body": ""}).status_code == HTTPStatus.FORBIDDEN
        UserTenantAssociation.objects.filter(user=alice).delete()
        assert client.get(ACME).status_code == HTTPStatus.NOT_FOUND

    def test_opens_its_tenant(self, alice, token_with_place, acme, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert answer_to(alice, token_with_place, acme) == HTTPStatus.OK

    def test_opens_no_other_tenant(self, alice, token_with_place, globex):
        assert answer_to(alice, token_with_place, globex) == HTTPStatus.NOT_FOUND

    def test_is_nobody_elses(self, carol, token_with_place, acme):
        assert answer_to(carol, token_with_place, acme) == HTTPStatus.NOT_FOUND
