"""Many documents at once, and the trash, over HTTP and by its command."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from tenant_data.documents import delete_for_good
from tenant_data.models import Document, DocumentVersion
from tenants.context import use_tenant
from tenants.models import Tenant, UserTenantAssociation
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/tenants/acme/documents/"
BULK, BULK_DELETE = f"{DOCUMENTS}bulk/", f"{DOCUMENTS}bulk-delete/"


@pytest.fixture
def client(as_user, bob, acme):
    return as_user(bob)


@pytest.fixture
def ids(client):
    made = client.post(BULK, {"documents": [{"title": title, "tags": ["A"]} for title in ("one", "two", "three")]})
    assert made.status_code == 201, made.content
    return [row["id"] for row in made.json()["results"]]


def listed(client, **asked):
    return [row["title"] for row in client.get(DOCUMENTS, asked).json()["results"]]


class WritingMany:
    def test_writes_all_in_the_order_sent(self, client, ids, bob):
        assert listed(client, q="one or two or three", ordering="created_at") == ["one", "two", "three"]
        shown = client.get(f"{DOCUMENTS}{ids[1]}/").json()
        assert (shown["title"], shown["tags"], shown["owner_id"]) == ("two", ["a"], str(bob.pk))

    def test_writes_none_where_one_will_not_do_and_says_which(self, client):
        refused = client.post(BULK, {"documents": [{"title": "good"}, {"title": ""}, {"body": "x", "tags": "y"}]})
        assert refused.status_code == 400
        wrong = {error["field"] for error in refused.json()["errors"]}
        assert wrong == {"documents.1.title", "documents.2.title", "documents.2.tags"}
        assert listed(client) == []

    @pytest.mark.parametrize("body", [[], {}, {"documents": []}, {"documents": [{"title": "x"}] * 501}])
    def test_refuses_none_and_too_many(self, client, body):
        assert client.post(BULK, body).status_code == 400

    def test_is_404_with_a_file_that_is_not_there(self, client):
        refused = client.post(BULK, {"documents": [{"title": "x"}, {"title": "x", "file": str(uuid4())}]})
        assert (refused.status_code, "documents 1, counted" in refused.content.decode()) == (404, True)
        assert listed(client) == []


class DeletingMany:
    def test_puts_all_in_the_trash(self, client, ids):
        assert client.post(BULK_DELETE, {"ids": ids[:2] + ids[:1]}).json() == {"deleted": 2}
        assert listed(client) == ["three"]

    def test_deletes_none_where_one_is_not_there_and_says_which(self, client, ids):
        missing = str(uuid4())
        refused = client.post(BULK_DELETE, {"ids": [*ids, missing]})
        assert (refused.status_code, missing in refused.content.decode()) == (404, True)
        assert len(listed(client)) == 3

    def test_is_for_those_who_may_write(self, api, client, ids, bob):
        assert api.post(BULK_DELETE, {"ids": ids}).status_code == 401
        assert api.post(BULK, {"documents": []}).status_code == 401
        UserTenantAssociation.objects.filter(user=bob).update(role="viewer")
        assert client.post(BULK_DELETE, {"ids": ids}).status_code == 403
        assert client.post(BULK, {"documents": [{"title": "x"}]}).status_code == 403


class TheTrash:
    def test_has_what_was_deleted_the_last_first(self, client, ids):
        for one in ids[:2]:
            assert client.delete(f"{DOCUMENTS}{one}/").status_code == 204
        assert (listed(client), listed(client, trashed="true")) == (["three"], ["two", "one"])
        assert (listed(client, q="one"), listed(client, q="one", trashed="true")) == ([], ["one"])

    def test_hides_what_is_in_it(self, client, ids):
        path = f"{DOCUMENTS}{ids[0]}/"
        client.patch(path, {"body": "changed"})
        client.delete(path)
        for hidden in (path, f"{path}versions/", f"{path}versions/1/", f"{path}versions/1/comparison/"):
            assert client.get(hidden).status_code == 404
        for change in (client.patch, client.put, client.delete):
            assert change(path, {"title": "x"}).status_code == 404
        assert client.post(f"{path}versions/1/restore/").status_code == 404
        assert client.get(f"{path}?trashed=true").json()["deleted_at"] is not None

    def test_gives_back_what_was_in_it_as_it_was(self, client, ids):
        path = f"{DOCUMENTS}{ids[0]}/"
        before = client.patch(path, {"body": "changed"}).json()
        client.delete(path)
        assert client.post(f"{path}restore/").json() == before
        assert client.get(f"{path}versions/1/").status_code == 200
        assert client.post(f"{path}restore/").status_code == 404

    def test_lets_go_of_it_for_good(self, client, ids, acme):
        path = f"{DOCUMENTS}{ids[0]}/"
        client.patch(path, {"body": "changed"})
        assert client.delete(f"{path}?trashed=true").status_code == 404
        client.delete(path)
        assert client.delete(f"{path}?trashed=true").status_code == 204
        assert client.post(f"{path}restore/").status_code == 404
        with use_tenant(acme):
            assert (Document.objects.count(), DocumentVersion.objects.count()) == (2, 0)

    def test_gives_nothing_back_to_a_viewer(self, api, client, ids, bob):
        client.delete(f"{DOCUMENTS}{ids[0]}/")
        assert api.post(f"{DOCUMENTS}{ids[0]}/restore/").status_code == 401
        UserTenantAssociation.objects.filter(user=bob).update(role="viewer")
        assert client.post(f"{DOCUMENTS}{ids[0]}/restore/").status_code == 403


class EmptyingTheTrash:
    def test_deletes_for_good_what_is_old(self, client, ids, acme, capsys, monkeypatch):
        monkeypatch.setattr("tenant_data.documents.BATCH", 1)
        for one in ids:
            client.patch(f"{DOCUMENTS}{one}/", {"body": "changed"})
        client.post(BULK_DELETE, {"ids": ids[1:]})
        with use_tenant(acme):
            call_command("empty_trash")
            assert capsys.readouterr().out == "deleted 0 documents\n"
            Document.objects.trashed().update(deleted_at=timezone.now() - timedelta(days=31))
            call_command("empty_trash")
            assert capsys.readouterr().out == "deleted 2 documents\n"
            assert [version.document.title for version in DocumentVersion.objects.all()] == ["one"]

    def test_says_how_where_no_tenant_is_current(self, db):
        with pytest.raises(CommandError, match="tenants run"):
            call_command("empty_trash")


class WhileAnotherIsAtIt:
    """A second session has changed the row, and commits as soon as somebody waits for that."""

    @contextmanager
    def meanwhile(self, tenant: Tenant, deleted_at: str, document_id: str) -> Iterator[None]:
        params = connections[tenant.alias].get_connection_params()

        def commit_when_waited_for() -> None:
            with closing(psycopg2.connect(**params)) as third, third.cursor() as cursor:

                def is_waited_for() -> bool:
                    cursor.execute(
                        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid)))",
                        [other.info.backend_pid],
                    )
                    return bool(cursor.fetchone()[0])

                third.autocommit = True
                wait_until(is_waited_for)
            other.commit()

        with closing(psycopg2.connect(**params)) as other, ThreadPoolExecutor(1) as pool:
            with other.cursor() as cursor:
                cursor.execute(
                    f"UPDATE tenant_data_document SET deleted_at = {deleted_at} WHERE id = %s", [document_id]
                )
            committed = pool.submit(commit_when_waited_for)
            yield
            committed.result()

    def test_none_is_deleted_with_one_that_has_gone_to_the_trash(self, client, acme, ids):
        with self.meanwhile(acme, "now()", ids[0]):
            refused = client.post(BULK_DELETE, {"ids": ids})
        assert (refused.status_code, ids[0] in refused.json()["detail"]) == (404, True)
        assert len(listed(client)) == 2

    def test_what_has_left_the_trash_is_not_deleted_for_good(self, client, acme, ids):
        client.patch(f"{DOCUMENTS}{ids[0]}/", {"body": "changed"})
        assert client.post(BULK_DELETE, {"ids": ids}).status_code == 200
        with self.meanwhile(acme, "NULL", ids[0]), use_tenant(acme):
            assert delete_for_good(ids) == 2
        with use_tenant(acme):
            assert [str(kept.pk) for kept in Document.objects.all()] == [ids[0]]
            assert DocumentVersion.objects.count() == 1
