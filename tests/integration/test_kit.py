"""The kit for those who build on Silo: each test finds tenants as new, and a leak is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django import test
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import RetrieveUpdateDestroyAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import User
from tenants import context
from tenants.context import current_tenant
from tenants.errors import NoTenantError
from tenants.lifecycle import suspend
from tenants.models import Installation, Tenant
from tenants.permissions import IsTenantMember
from tenants.testing import assert_isolated
from tenants.testing.contents import Contents
from tests.apps.notes.models import Note
from tests.support.fleet import as_owner, on_server


def note(tenant: Tenant, text: str) -> Note:
    with context.use_tenant(tenant):
        return Note.objects.create(text=text)


class ATenant:
    @pytest.mark.parametrize("time", ["once", "and again"])
    def test_is_as_new_in_each_test(self, tenant: Tenant, time: str) -> None:
        made = note(tenant, time)
        assert made.pk == 1
        with context.use_tenant(tenant):
            assert Note.objects.get() == made

    def test_is_not_current(self, tenant: Tenant) -> None:
        with pytest.raises(NoTenantError):
            Note.objects.count()

    def test_is_apart_from_the_other(self, tenant: Tenant, other_tenant: Tenant) -> None:
        note(tenant, "here")
        with context.use_tenant(other_tenant):
            assert not Note.objects.exists()

    def test_commits_so_that_a_thread_sees_it(self, tenant: Tenant) -> None:
        note(tenant, "seen")

        def texts() -> list[str]:
            with context.use_tenant(tenant):
                return [note.text for note in Note.objects.all()]

        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(texts).result() == ["seen"]

    def test_is_current_for_a_whole_test(self, use_tenant: type[context.use_tenant], other_tenant: Tenant) -> None:
        Note.objects.create(text="of acme")
        with use_tenant(other_tenant):
            assert not Note.objects.exists()
        assert current_tenant() == Tenant.objects.get(slug="acme")

    def test_of_the_tests_own_may_be_suspended_and_is_dropped(
        self, leaves_no_database: None, make_tenant: Callable[..., Tenant]
    ) -> None:
        initech = make_tenant("initech", name="Initech")
        note(initech, "it works")
        suspend(initech)


@pytest.fixture
def leaves_no_database(db: None) -> Iterator[None]:
    query = "SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles"
    before = set(on_server(query))
    yield
    assert set(on_server(query)) == before


class WhatMigrationsMade:
    def test_comes_back_with_its_sequences(self, tenant: Tenant) -> None:
        for text in ("made by\ta migration", "and another"):
            note(tenant, text)
        fresh = Contents.of(tenant)
        as_owner(tenant, "DELETE FROM notes_note WHERE id = 1")
        assert note(tenant, "by a test").pk == 3
        fresh.put_back(tenant)
        with context.use_tenant(tenant):
            assert [(note.pk, note.text) for note in Note.objects.all()] == [
                (1, "made by\ta migration"),
                (2, "and another"),
            ]
        assert note(tenant, "next").pk == 3


@pytest.mark.usefixtures("use_tenant")
class InATestCase(test.TestCase):
    def test_is_as_new(self) -> None:
        assert Note.objects.create(text="once").pk == 1

    def test_is_as_new_again(self) -> None:
        assert Note.objects.create(text="again").pk == 1


@pytest.mark.usefixtures("use_tenant")
class InATransactionTestCase(test.TransactionTestCase):
    """Which empties main at its end."""

    def test_is_as_new(self) -> None:
        assert Note.objects.create(text="once").pk == 1
        assert not transaction.get_connection().in_atomic_block

    def test_is_as_new_again(self) -> None:
        assert Note.objects.create(text="again").pk == 1
        assert Installation.objects.get().head_key


# Endpoints, one without a fault and the others with one each


class NoteSerializer(serializers.ModelSerializer[Note]):
    class Meta:
        model = Note
        fields = ("id", "text")


class NoteView(RetrieveUpdateDestroyAPIView[Note]):
    serializer_class = NoteSerializer
    permission_classes = (IsTenantMember,)
    queryset = Note.objects.all()
    lookup_url_kwarg = "id"


def somebodys(id: int) -> Note:
    """The note of this id, whosever it is."""
    for tenant in Tenant.objects.all():
        with context.use_tenant(tenant):
            if found := Note.objects.filter(pk=id).first():
                return found
    raise Note.DoesNotExist


class ShowsAnybodys(NoteView):
    def get(self, request: Request, slug: str, id: int) -> Response:
        return Response({"text": somebodys(id).text})


class TellsInTheError(NoteView):
    def get(self, request: Request, slug: str, id: int) -> Response:
        if not Note.objects.filter(pk=id).exists():
            raise NotFound(f"That is not yours: {somebodys(id).text}")
        return Response({})


class TellsInAHeader(NoteView):
    def get(self, request: Request, slug: str, id: int) -> Response:
        here = Note.objects.filter(pk=id).exists()
        return Response({}, status=200 if here else 404, headers={"X-Found": somebodys(id).text})


class DeletesAnybodys(NoteView):
    def delete(self, request: Request, slug: str, id: int) -> Response:
        with context.use_tenant(Tenant.objects.get(slug="globex")):
            Note.objects.all().delete()
        return super().delete(request, slug, id)


def refuses_all(request: HttpRequest, slug: str, id: int) -> JsonResponse:
    return JsonResponse({}, status=404)


FAULTY = {"shows": ShowsAnybodys, "error": TellsInTheError, "header": TellsInAHeader, "deletes": DeletesAnybodys}
PREFIX = "api/v1/tenants/<str:slug>"
urlpatterns = [
    path(f"{PREFIX}/notes/<int:id>/", NoteView.as_view()),
    path(f"{PREFIX}/refuses/<int:id>/", refuses_all),
    *(path(f"{PREFIX}/{name}/<int:id>/", view.as_view()) for name, view in FAULTY.items()),
]


@pytest.mark.urls(__name__)
class AssertIsolated:
    URL = "/api/v1/tenants/{tenant}/%s/{object.pk}/"

    @pytest.fixture
    def check(
        self, as_user: Callable[[User], APIClient], alice: User, tenant: Tenant, other_tenant: Tenant
    ) -> Callable[..., None]:
        own = note(tenant, "Alice's own words")
        note(other_tenant, "the first one, whose key is that of Alice's")
        foreign = note(other_tenant, 'Carol\'s "secret" words')

        def check(name: str, method: str = "get", **more: Any) -> None:
            given = {"own": own, "foreign": foreign, **more}
            assert_isolated(as_user(alice), method, self.URL % name, **given)

        return check

    @pytest.mark.parametrize(("method", "data"), [("get", None), ("patch", {"text": "changed"}), ("delete", None)])
    def test_passes_an_endpoint_without_fault(self, check: Callable[..., None], method: str, data: object) -> None:
        check("notes", method, data=data)

    @pytest.mark.parametrize(
        ("name", "method", "said"),
        [
            ("shows", "get", "answered 200, not 404"),
            ("error", "get", "shows of globex: text"),
            ("header", "get", "shows of globex: text"),
            ("deletes", "delete", "changed what globex has"),
            ("refuses", "get", "could not fail"),
        ],
    )
    def test_finds_the_fault(self, check: Callable[..., None], name: str, method: str, said: str) -> None:
        with pytest.raises(AssertionError, match=said):
            check(name, method)

    def test_finds_what_a_list_shows(self, check: Callable[..., None]) -> None:
        with pytest.raises(AssertionError, match="shows of globex: text"):
            check("shows", status=200)

    def test_refuses_what_cannot_tell_the_tenants_apart(
        self, check: Callable[..., None], tenant: Tenant, other_tenant: Tenant
    ) -> None:
        with context.use_tenant(other_tenant):
            twin = Note.objects.get(pk=1)
        with pytest.raises(AssertionError, match="means own as well as foreign"):
            check("notes", foreign=twin)
        with pytest.raises(AssertionError, match="both of the tenant acme"):
            check("notes", foreign=note(tenant, "mine too"))
        with pytest.raises(TypeError, match="is of no tenant"):
            check("notes", foreign=Note(text="not saved"))
