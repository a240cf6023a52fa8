"""Threads, tasks and async code: which tenant is current in them, and that they keep no connection for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from tenants.context import current_tenant, use_tenant
from tenants.errors import NoTenantError, WrongTenantError
from tenants.models import Tenant
from tenants.routing.connections import databases
from tenants.routing.middleware import TenantMiddleware
from tenants.routing.pool import process_pool
from tests.apps.notes.models import Note


@pytest.fixture
def both(acme: Tenant, globex: Tenant) -> list[Tenant]:
    """Acme and globex, each with a note that has its name."""
    for tenant in (acme, globex):
        databases().unpin(tenant.alias)
        with use_tenant(tenant):
            Note.objects.create(text=tenant.slug)
    return [acme, globex]


@pytest.fixture
def thread(both: list[Tenant]) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor
        executor.submit(connections.close_all).result()


def the_note() -> str:
    return Note.objects.get().text


async def the_notes() -> list[str]:
    return [note.text async for note in Note.objects.all()]


class AThread:
    def test_that_is_started_under_a_tenant_has_none(self, both: list[Tenant], thread: ThreadPoolExecutor) -> None:
        with use_tenant(both[0]), pytest.raises(NoTenantError):
            thread.submit(the_note).result()

    def test_cannot_run_a_query_that_was_built_under_one(self, both: list[Tenant], thread: ThreadPoolExecutor) -> None:
        with use_tenant(both[0]):
            rows = Note.objects.all()
        with pytest.raises(NoTenantError):
            thread.submit(list, rows).result()

    def test_says_whose_work_it_does(self, both: list[Tenant], thread: ThreadPoolExecutor) -> None:
        def work(tenant: Tenant) -> str:
            with use_tenant(tenant):
                return the_note()

        with use_tenant(both[0]):
            assert list(thread.map(work, both)) == ["acme", "globex"]

    def test_that_was_handed_a_context_keeps_one_connection_at_most(
        self, both: list[Tenant], thread: ThreadPoolExecutor
    ) -> None:
        in_use = process_pool().numbers()["in_use"]
        for tenant in [*both, *both]:
            with use_tenant(tenant):
                assert thread.submit(copy_context().run, the_note).result() == tenant.slug
            assert process_pool().numbers()["in_use"] == in_use + 1

    def test_keeps_the_connections_of_nested_scopes(self, both: list[Tenant], thread: ThreadPoolExecutor) -> None:
        def read_in_turns() -> list[str]:
            with use_tenant(both[0]):
                rows = connections[both[0].alias].cursor()
                rows.execute("SELECT text FROM notes_note")
                with use_tenant(both[1]):
                    inner = the_note()
                return [inner, *rows.fetchone()]

        assert thread.submit(read_in_turns).result() == ["globex", "acme"]

    def test_may_hold_connections_that_it_asked_for_by_their_aliases(
        self, both: list[Tenant], thread: ThreadPoolExecutor
    ) -> None:
        def read_by_alias() -> list[str]:
            cursors = [connections[tenant.alias].cursor() for tenant in both]
            for cursor in cursors:
                cursor.execute("SELECT text FROM notes_note")
            return [cursor.fetchone()[0] for cursor in cursors]

        assert thread.submit(read_by_alias).result() == ["acme", "globex"]


class AsyncCode:
    def test_in_an_async_view_is_the_requests_tenants(self, both: list[Tenant]) -> None:
        async def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse(await the_notes())

        async def ask() -> list[bytes]:
            paths = [f"/api/v1/tenants/{slug}/notes/" for slug in ("acme", "globex", "acme")]
            answers = [TenantMiddleware(view)(RequestFactory().get(path)) for path in paths]
            return [response.content for response in await asyncio.gather(*answers)]

        assert async_to_sync(ask)() == [b"acme", b"globex", b"acme"]

    def test_of_two_tenants_in_one_loop_is_kept_apart(self, both: list[Tenant]) -> None:
        async def read(tenant: Tenant) -> list[str]:
            found = []
            async with use_tenant(tenant):
                for _ in range(3):
                    found += await the_notes()
                    await asyncio.sleep(0)
            return found

        async def gather() -> list[list[str]]:
            return await asyncio.gather(*(read(tenant) for tenant in both))

        assert async_to_sync(gather)() == [["acme"] * 3, ["globex"] * 3]

    def test_leaves_the_connection_to_another_task_that_reads_from_it(self, both: list[Tenant]) -> None:
        async def read(begun: asyncio.Event, other_has_left: asyncio.Event) -> str:
            async with use_tenant(both[0]):
                await Note.objects.acreate(text="another")
                rows = Note.objects.aiterator(chunk_size=1)
                await anext(rows)
                begun.set()
                await other_has_left.wait()
                return (await anext(rows)).text

        async def come_and_go(begun: asyncio.Event, has_left: asyncio.Event) -> None:
            await begun.wait()
            async with use_tenant(both[0]):
                await Note.objects.acount()
            has_left.set()

        async def gather() -> tuple[str, None]:
            events = asyncio.Event(), asyncio.Event()
            async with asyncio.timeout(60):
                text, none = await asyncio.gather(read(*events), come_and_go(*events))
            return text, none

        assert async_to_sync(gather)() == ("another", None)

    def test_hands_its_tenant_on_to_tasks_and_to_sync_code(self, both: list[Tenant]) -> None:
        async def read() -> list[object]:
            async with use_tenant(both[0]):
                task = asyncio.create_task(the_notes())
                sync = await sync_to_async(the_note)()
                return [await task, sync, await asyncio.to_thread(current_tenant)]

        assert async_to_sync(read)() == [["acme"], "acme", both[0]]

    def test_that_changes_the_tenant_in_sync_code_does_not_change_it_here(self, both: list[Tenant]) -> None:
        def read_elsewhere() -> str:
            with use_tenant(both[1]):
                return the_note()

        async def read() -> list[object]:
            async with use_tenant(both[0]):
                return [await sync_to_async(read_elsewhere)(), current_tenant()]

        assert async_to_sync(read)() == ["globex", both[0]]

    def test_cannot_run_a_query_of_another_tenant(self, both: list[Tenant]) -> None:
        async def read() -> None:
            async with use_tenant(both[0]):
                rows = Note.objects.all()
            async with use_tenant(both[1]):
                with pytest.raises(WrongTenantError):
                    [note async for note in rows]
                with pytest.raises(WrongTenantError):
                    await rows.aget()
                with pytest.raises(WrongTenantError):
                    await rows.acreate(text="x")

        async_to_sync(read)()

    def test_cannot_go_on_with_rows_of_another_tenant(self, both: list[Tenant]) -> None:
        async def read() -> None:
            async with use_tenant(both[0]):
                await Note.objects.acreate(text="another")
                every = Note.objects.all()
                raw = Note.objects.raw("SELECT * FROM notes_note")
                for rows in (every.aiterator(), every.aiterator(chunk_size=1), aiter(every), aiter(raw)):
                    await anext(rows)
                    async with use_tenant(both[1]):
                        with pytest.raises(WrongTenantError):
                            await anext(rows)

        async_to_sync(read)()


class AGeneratorThatEndsInAnotherContext:
    """As where a server, or the garbage collector, closes what a request began."""

    def test_leaves_the_tenant_that_is_current_there_alone(self, both: list[Tenant]) -> None:
        acme, globex = both

        def texts() -> Iterator[str]:
            with use_tenant(acme):
                yield from (note.text for note in Note.objects.all())

        begun = texts()
        assert copy_context().run(next, begun) == "acme"
        with use_tenant(globex):
            with pytest.raises(WrongTenantError):
                begun.close()  # type: ignore[attr-defined]  # a generator
            assert current_tenant() == globex
            assert Note.objects.get().text == "globex"
