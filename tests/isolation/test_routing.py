"""Case 25: each thing that stock Django does across tenants without a word raises here."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable, Generator
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import Exists, OuterRef

from accounts.models import User
from tenant_data.models import Document, File
from tenants.context import current_tenant, required_alias, tenant_atomic, use_main, use_tenant
from tenants.errors import NoTenantError, UnknownTenantError, WrongTenantError
from tenants.models import Tenant
from tenants.routing.connections import databases
from tests.apps.notes.models import Note

OWNER = uuid4()


def document(title: str, **fields: object) -> Document:
    return Document.objects.create(title=title, owner_id=OWNER, **fields)


def file() -> File:
    return File.objects.create(name="a.txt", sha256="0" * 64, size=1, content_type="text/plain", owner_id=OWNER)


class WithNoTenant:
    def test_a_read_raises(self, acme: Tenant) -> None:
        with pytest.raises(NoTenantError):
            Document.objects.count()

    def test_a_write_raises(self, acme: Tenant) -> None:
        with pytest.raises(NoTenantError):
            document("nowhere")

    def test_saving_what_was_read_under_a_tenant_raises(self, acme: Tenant) -> None:
        with use_tenant(acme):
            note = Note.objects.create(text="of acme")
        databases().unpin(acme.alias)
        with pytest.raises(NoTenantError):
            note.save()

    def test_main_models_are_read_from_main(self, acme: Tenant) -> None:
        with use_tenant(acme):
            assert User.objects.all().db == "default"

    def test_use_main_leaves_the_tenant_for_a_while(self, acme: Tenant) -> None:
        with use_tenant(acme):
            with use_main(), pytest.raises(NoTenantError):
                Document.objects.count()
            assert Document.objects.count() == 0


class AQuerysetOfAnotherTenant:
    def test_cannot_be_evaluated(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            document("secret of acme")
            lazy = Document.objects.all()
        with use_tenant(globex), pytest.raises(WrongTenantError):
            list(lazy)

    def test_cannot_be_filtered_further(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            lazy = Document.objects.filter(title="x")
        with use_tenant(globex), pytest.raises(WrongTenantError):
            lazy.exclude(body="").exists()

    def test_cannot_be_iterated_in_raw_sql(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            lazy = Document.objects.raw("SELECT * FROM tenant_data_document")
        with use_tenant(globex), pytest.raises(WrongTenantError):
            list(lazy)

    def test_cannot_stand_inside_a_query(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            files = File.objects.all()
        with use_tenant(globex):
            with pytest.raises(WrongTenantError):
                list(Document.objects.filter(file__in=files))
            with pytest.raises(WrongTenantError):
                list(Document.objects.filter(Exists(files.filter(pk=OuterRef("file")))))

    def test_cannot_be_combined_with_one_of_this(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            theirs = Document.objects.filter(title="a")
        with use_tenant(globex), pytest.raises(WrongTenantError):
            Document.objects.filter(title="b") | theirs

    @pytest.mark.parametrize("read", [list, len, bool, lambda rows: rows[0], lambda rows: rows.count()])
    def test_does_not_give_out_the_rows_it_holds(
        self, acme: Tenant, globex: Tenant, read: Callable[[Any], object]
    ) -> None:
        shared = Note.objects.all()
        with use_tenant(acme):
            Note.objects.create(text="of acme")
            assert [note.text for note in shared] == ["of acme"]
        with use_tenant(globex), pytest.raises(WrongTenantError):
            read(shared)

    def test_one_built_under_no_tenant_serves_whichever_is_current(self, acme: Tenant, globex: Tenant) -> None:
        shared = Document.objects.all()
        with use_tenant(acme):
            document("of acme")
            assert shared.all().count() == 1
        with use_tenant(globex):
            assert shared.all().count() == 0


class ARowOfAnotherTenant:
    @pytest.fixture
    def acmes(self, acme: Tenant) -> Document:
        with use_tenant(acme):
            return document("of acme", file=file())

    def test_cannot_be_saved(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            acmes.save()

    def test_cannot_be_saved_where_using_names_the_database(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            acmes.save(using=globex.alias)

    def test_cannot_be_deleted(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            acmes.delete()

    def test_cannot_be_refreshed(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            acmes.refresh_from_db()

    def test_cannot_be_bulk_created(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            Document.objects.bulk_create([acmes])

    def test_cannot_be_bulk_updated(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            Document.objects.bulk_update([acmes], ["title"])

    def test_cannot_be_related(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex):
            theirs = document("of globex")
            with pytest.raises(WrongTenantError):
                theirs.file = acmes.file

    @pytest.mark.parametrize(
        "use",
        [
            lambda file: Document.objects.filter(file=file).exists(),
            lambda file: Document.objects.exclude(file=file).exists(),
            lambda file: Document.objects.filter(file__in=[file]).exists(),
            lambda file: Document.objects.get_or_create(file=file, defaults={"title": "x"}),
            lambda file: Document.objects.update(file=file),
            lambda file: File.objects.contains(file),
        ],
        ids=["filter", "exclude", "in", "get_or_create", "update", "contains"],
    )
    def test_cannot_be_looked_up_or_written_as_a_key(
        self, acmes: Document, globex: Tenant, use: Callable[[Any], object]
    ) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            use(acmes.file)

    def test_does_not_follow_its_relations(self, acmes: Document, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            fresh = Document.objects.get()
        with use_tenant(globex), pytest.raises(WrongTenantError):
            fresh.file  # noqa: B018

    def test_cannot_be_compared_with_one_that_has_the_same_key(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex):
            twin = Document.objects.create(id=acmes.id, title="of globex", owner_id=OWNER)
        with pytest.raises(WrongTenantError):
            assert acmes == twin

    def test_stays_of_its_tenant_when_it_is_pickled(self, acmes: Document, globex: Tenant) -> None:
        copied = pickle.loads(pickle.dumps(acmes))
        with use_tenant(globex), pytest.raises(WrongTenantError):
            copied.save()

    def test_stays_of_its_tenant_when_it_is_copied(self, acmes: Document, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            copy.copy(acmes).save()


class ACursorOfAnotherTenant:
    def test_raises(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError), connections[acme.alias].cursor() as cursor:
            cursor.execute("SELECT 1")

    def test_raises_for_a_queryset_that_names_the_database(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            Document.objects.using(acme.alias).count()


class ARelationToMain:
    def test_is_refused(self, acme: Tenant, alice: User) -> None:
        from django.db import router

        with use_tenant(acme):
            assert not router.allow_relation(document("x"), alice)


class TheCurrentTenant:
    def test_is_left_after_an_exception(self, acme: Tenant) -> None:
        with pytest.raises(ZeroDivisionError), use_tenant(acme):
            _ = 1 / 0
        assert current_tenant() is None

    def test_is_found_by_its_slug(self, acme: Tenant) -> None:
        with use_tenant("acme") as tenant:
            assert tenant == acme
            assert current_tenant() == acme

    @pytest.mark.parametrize("slug", ["nobody", "", "a\0b", 'acme"; DROP DATABASE', "x" * 200])
    def test_is_never_one_that_does_not_exist(self, acme: Tenant, slug: str) -> None:
        with pytest.raises(UnknownTenantError):
            use_tenant(slug).__enter__()

    def test_is_nobody_after_scopes_were_left_in_another_order(self, acme: Tenant, globex: Tenant) -> None:
        def texts(tenant: Tenant) -> Generator[str, None, None]:
            with use_tenant(tenant):
                yield tenant.slug

        first, second = texts(acme), texts(globex)
        next(first), next(second)
        with pytest.raises(WrongTenantError):
            first.close()
        assert current_tenant() is None
        with pytest.raises(WrongTenantError):
            second.close()
        assert current_tenant() is None

    def test_cannot_be_entered_twice_by_one_scope(self, acme: Tenant) -> None:
        scope = use_tenant(acme)
        with scope, pytest.raises(RuntimeError):
            scope.__enter__()
        assert current_tenant() is None

    def test_keeps_the_connection_of_the_scope_around_it(self, acme: Tenant, globex: Tenant) -> None:
        databases().unpin(acme.alias)
        with use_tenant(acme):
            Note.objects.bulk_create([Note(text=str(number)) for number in range(3)])
            rows = Note.objects.iterator(chunk_size=1)
            next(rows)
            with use_tenant(globex), use_tenant(acme):
                Note.objects.count()
            with use_main(), use_tenant(acme):
                Note.objects.count()
            assert len(list(rows)) == 2

    def test_gives_its_connection_back_in_async_code_too(self, acme: Tenant) -> None:
        databases().unpin(acme.alias)

        async def open_during_and_after() -> tuple[bool, bool]:
            async with use_tenant(acme):
                await Note.objects.acount()
                during = await sync_to_async(lambda: acme.alias in set(connections))()
            return during, await sync_to_async(lambda: acme.alias in set(connections))()

        assert asyncio.run(open_during_and_after()) == (True, False)

    def test_may_be_nested(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            document("of acme")
            with use_tenant(globex):
                assert Document.objects.count() == 0
            assert Document.objects.count() == 1

    def test_is_not_inherited_by_a_thread(self, acme: Tenant) -> None:
        seen = []
        with use_tenant(acme):
            thread = threading.Thread(target=lambda: seen.append(current_tenant()))
            thread.start()
            thread.join()
        assert seen == [None]

    def test_differs_between_async_tasks(self, acme: Tenant, globex: Tenant) -> None:
        async def seen_by(tenant: Tenant, other_is_in: asyncio.Barrier) -> object:
            async with use_tenant(tenant):
                await other_is_in.wait()
                return await sync_to_async(lambda: connections[required_alias()].settings_dict["NAME"])()

        async def both() -> tuple[object, object]:
            barrier = asyncio.Barrier(2)
            return await asyncio.gather(seen_by(acme, barrier), seen_by(globex, barrier))

        assert tuple(asyncio.run(both())) == (acme.alias, globex.alias)

    def test_is_found_by_its_slug_in_async_code(self, acme: Tenant) -> None:
        async def slug() -> str:
            async with use_tenant("acme") as tenant:
                return tenant.slug

        assert asyncio.run(slug()) == "acme"

    def test_gives_its_connection_back_when_it_is_left(self, acme: Tenant) -> None:
        databases().unpin(acme.alias)
        with use_tenant(acme):
            Document.objects.count()
            assert acme.alias in list(connections)
        assert acme.alias not in list(connections)

    def test_keeps_its_connection_inside_a_transaction(self, acme: Tenant) -> None:
        with use_tenant(acme):
            atomic = tenant_atomic()
            atomic.__enter__()
            document("not yet there for others")
        with use_tenant(acme):
            assert Document.objects.count() == 1
            connections[acme.alias].set_rollback(True)
            atomic.__exit__(None, None, None)
            assert Document.objects.count() == 0


class Connections:
    def test_are_not_walked_for_tenants_that_are_not_open(self, acme: Tenant, globex: Tenant) -> None:
        for tenant in (acme, globex):
            databases().unpin(tenant.alias)
        assert list(connections) == ["default"]
        assert acme.alias in connections.settings

    def test_are_always_the_same_settings(self, acme: Tenant) -> None:
        assert connections.settings[acme.alias] is connections.settings[acme.alias]

    @pytest.mark.parametrize(
        ("changed", "found"),
        [
            ({"host": "db.example"}, {"HOST": "db.example", "PORT": "5432"}),
            ({"port": 5433}, {"PORT": "5433"}),
            ({"pooler_host": "pooler.example"}, {"HOST": "pooler.example", "PORT": "6432"}),
            ({"pooler_host": "pooler.example", "pooler_port": 6433}, {"PORT": "6433"}),
        ],
    )
    def test_follow_a_server_that_is_changed(
        self, acme: Tenant, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], found: dict[str, str]
    ) -> None:
        held = databases().remember(acme)
        with monkeypatch.context() as patched:
            for field, value in changed.items():
                patched.setattr(acme.server, field, value)
                assert databases().remember(acme) is held
            assert held.items() >= found.items()
        databases().remember(acme)

    def test_do_not_exist_for_an_alias_of_nobody(self, db: None) -> None:
        assert f"tenant_{'0' * 32}" not in connections.settings
        with pytest.raises(KeyError):
            connections.settings[f"tenant_{'0' * 32}"]
