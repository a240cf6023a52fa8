"""Finding documents: filters, search, ordering and pages, over HTTP."""

import base64
from importlib import import_module

import pytest
from django.db import connections

from tenant_data.models import Document
from tenants.context import use_tenant

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/tenants/acme/documents/"


@pytest.fixture
def client(as_user, bob, acme):
    return as_user(bob)


@pytest.fixture
def write(client):
    def write(title, **fields):
        return client.post(DOCUMENTS, {"title": title, **fields}).json()

    return write


@pytest.fixture
def titles(client):
    def titles(**asked):
        reply = client.get(DOCUMENTS, asked)
        assert reply.status_code == 200, reply.content
        return [row["title"] for row in reply.json()["results"]]

    return titles


class Tags:
    def test_are_kept_in_one_spelling(self, write):
        assert write("Minutes", tags=["  Board  Meeting", "2026", "BOARD meeting", "\uff32\uff45\uff44", " "])[
            "tags"
        ] == [
            "2026",
            "board meeting",
            "red",
        ]

    def test_are_found_in_any_spelling_and_all_of_them(self, write, titles):
        write("Both", tags=["red", "blue"])
        write("One", tags=["red"])
        assert titles(tag="RED") == ["One", "Both"]
        assert titles(tag=["red", "Blue"]) == ["Both"]
        assert titles(tag="re") == []

    @pytest.mark.parametrize("tags", ["red", [1, {}], ["a" * 51], ["a\0"], [str(number) for number in range(21)]])
    def test_are_refused_where_they_are_none(self, client, tags):
        assert client.post(DOCUMENTS, {"title": "x", "tags": tags}).status_code == 400


class Filters:
    def test_find_by_author_file_and_the_beginning_of_the_title(self, client, write, titles, bob, acme):
        write("50% off")
        write("Fifty")
        with use_tenant(acme):
            Document.objects.create(title="Somebody else's")
        assert titles(author=str(bob.pk)) == ["Fifty", "50% off"]
        assert titles(title="fIF") == ["Fifty"]
        assert titles(title="50%") == ["50% off"]
        assert titles(title="%") == []
        assert titles(has_file="true") == []
        assert len(titles(has_file="false")) == 3

    def test_find_by_time(self, client, write, titles):
        first, second = write("First"), write("Second")
        assert titles(created_from=second["created_at"]) == ["Second"]
        assert titles(created_before=second["created_at"]) == ["First"]
        client.patch(f"{DOCUMENTS}{first['id']}/", {"body": "changed"})
        assert titles(updated_from=second["created_at"], title="f") == ["First"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("author", "bob"),
            ("created_from", "yesterday"),
            ("created_before", "9999-12-31T23:59:59-23:59"),
            ("has_file", "1"),
            ("trashed", "yes"),
            ("q", "a\0"),
            ("q", "a" * 201),
            ("tag", "a\0"),
            ("title", "a\0"),
        ],
    )
    def test_refuse_what_means_nothing(self, client, write, name, value):
        assert client.get(DOCUMENTS, {name: value}).status_code == 400


class Searching:
    def test_finds_words_in_any_form_the_best_first(self, write, titles):
        write("Ships", body="One anvil is mentioned here among much else.")
        write("Anvils", body="Sold by weight.")
        write("Skates", body="With rockets.")
        assert titles(q="anvil") == ["Anvils", "Ships"]
        assert titles(q='"sold by weight" or rocket', ordering="title") == ["Anvils", "Skates"]
        assert titles(q="anvil -weight") == ["Ships"]
        assert titles(q="the") == []
        assert titles(q=' "-(') == []

    def test_follows_a_change(self, client, write, titles):
        document = write("Ships")
        client.patch(f"{DOCUMENTS}{document['id']}/", {"title": "Boats", "body": "Größe zählt"})
        assert (titles(q="ship"), titles(q="GRÖSSE"), titles(q="größe")) == ([], [], ["Boats"])

    def test_finds_what_was_there_before_its_words_were_kept(self, acme, write, titles):
        write("Ships")
        with use_tenant(acme):
            Document.objects.update(search=None)  # as before migration 0003: the trigger heeds title and body only
            assert titles(q="ship") == []
            with connections[acme.alias].cursor() as cursor:
                cursor.execute(import_module("tenant_data.migrations.0004_document_words").FILL)
        assert titles(q="ship") == ["Ships"]

    def test_marks_what_it_found_and_lets_no_html_through(self, client, write):
        write("Anvils & <3", body="An <script>alert(1)</script> </mark> <img src=x onerror='x'> anvil <\" x")
        (row,) = client.get(DOCUMENTS, {"q": "anvil"}).json()["results"]
        assert row["highlights"]["title"] == "<mark>Anvils</mark> &amp; &lt;3"
        body = row["highlights"]["body"]
        assert "<mark>anvil</mark>" in body
        assert "<" not in body.replace("<mark>", "").replace("</mark>", "", 1)
        (row,) = client.get(DOCUMENTS).json()["results"]
        assert row["highlights"] is None

    def test_takes_a_body_with_more_words_than_its_index_holds(self, write, titles):
        """A tsvector holds 1 MB: beyond the first 100,000 characters nothing is searched."""
        body = " ".join(f"{number:x}" for number in range(80_000))
        assert write("Long", body=f"anvil {body} hammer")["version"] == 1
        assert (titles(q="anvil"), titles(q="hammer")) == (["Long"], [])


class Pages:
    @pytest.mark.parametrize(
        "asked",
        [
            {},
            {"ordering": "title"},
            {"ordering": "-updated_at"},
            {"q": "equal"},
            {"ordering": "-title", "tag": "red"},
        ],
    )
    def test_show_each_document_once_forwards_and_back(self, client, acme, asked):
        """All of the same moment and title: the id alone tells them apart."""
        with use_tenant(acme):
            Document.objects.bulk_create(Document(title="Equal", tags=["red"]) for _ in range(7))
            Document.objects.update(created_at="2026-01-01T00:00Z", updated_at="2026-01-01T00:00Z")
        pages, reply = [], client.get(DOCUMENTS, {"page_size": 3, **asked}).json()
        while reply:
            pages.append([row["id"] for row in reply["results"]])
            last, reply = reply, reply["next"] and client.get(reply["next"]).json()
        assert [len(page) for page in pages] == [3, 3, 1]
        assert len({row for page in pages for row in page}) == 7
        second = client.get(last["previous"]).json()
        first = client.get(second["previous"]).json()
        assert [[row["id"] for row in page["results"]] for page in (first, second)] == pages[:2]
        assert first["previous"] is None

    def test_go_on_where_they_were_while_documents_come_and_go(self, client, write):
        documents = [write(f"Number {number}") for number in range(4)]
        following = client.get(DOCUMENTS, {"page_size": 2}).json()["next"]
        write("New")
        client.delete(f"{DOCUMENTS}{documents[2]['id']}/")
        rest = client.get(following).json()
        assert [row["title"] for row in rest["results"]] == ["Number 1", "Number 0"]
        for document in documents[:2]:
            client.delete(f"{DOCUMENTS}{document['id']}/")
        emptied = client.get(following).json()
        assert emptied["results"] == []
        assert [row["title"] for row in client.get(emptied["previous"]).json()["results"]] == ["New", "Number 3"]

    @pytest.mark.parametrize(
        "position",
        [
            "garbage",
            "[]",
            "5",
            '["-created_at", "no time", "no id"]',
            '["-created_at", 5, "5b0f8a52-6a0e-4f6b-9d57-0c1f2b8f8a10"]',
            '["-created_at", null, null]',
            '["title", "a", "5b0f8a52-6a0e-4f6b-9d57-0c1f2b8f8a10"]',
            '["-created_at", "9999-12-31T23:59:59-23:59", "5b0f8a52-6a0e-4f6b-9d57-0c1f2b8f8a10"]',
        ],
    )
    def test_are_404_where_they_are_made_up(self, client, write, position):
        cursor = base64.b64encode(f"p={position.replace('+', '%2B')}".encode()).decode()
        assert client.get(DOCUMENTS, {"cursor": cursor}).status_code == 404

    @pytest.mark.parametrize("title", ["\\u0000", "\\ud800"])
    def test_are_404_where_postgresql_could_not_hold_them(self, client, write, title):
        position = f'["title", "{title}", "5b0f8a52-6a0e-4f6b-9d57-0c1f2b8f8a10"]'
        cursor = base64.b64encode(f"p={position}".encode()).decode()
        assert client.get(DOCUMENTS, {"cursor": cursor, "ordering": "title"}).status_code == 404
