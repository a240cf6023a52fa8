"""A response's body is made when the request has left its tenant, and belongs to it all the same."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.db import connections
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.test import RequestFactory

from tenants.context import current_tenant, tenant_atomic, use_tenant
from tenants.errors import WrongTenantError
from tenants.models import Tenant
from tenants.routing.connections import databases
from tenants.routing.middleware import TenantMiddleware
from tests.apps.notes.models import Note

PATH = "/api/v1/tenants/acme/notes/"


class Server:
    """Sends requests through the middleware, and closes what it was answered, as a server does."""

    def __init__(self) -> None:
        self.answered: list[Any] = []

    def ask(self, view: Callable[[HttpRequest], Any], path: str = PATH) -> Any:
        response = TenantMiddleware(view)(RequestFactory().get(path))
        self.answered.append(response)
        return response

    def stream(self, chunks: Callable[[], Any], path: str = PATH) -> Any:
        return self.ask(lambda _: StreamingHttpResponse(chunks()), path)

    async def stream_async(self, chunks: Callable[[], Any], path: str = PATH) -> StreamingHttpResponse:
        async def view(_: HttpRequest) -> StreamingHttpResponse:
            return StreamingHttpResponse(chunks())

        middleware: Any = TenantMiddleware(view)
        assert iscoroutinefunction(middleware)
        response = await middleware(RequestFactory().get(path))
        self.answered.append(response)
        return response


@pytest.fixture
def server(acme: Tenant, globex: Tenant) -> Iterator[Server]:
    """Each of the two tenants has two notes with its name."""
    for tenant in (acme, globex):
        databases().unpin(tenant.alias)
        with use_tenant(tenant):
            Note.objects.bulk_create([Note(text=tenant.slug), Note(text=tenant.slug)])
    server = Server()
    yield server
    for response in server.answered:
        response.close()


def texts() -> Iterator[str]:
    for note in Note.objects.iterator(chunk_size=1):
        yield note.text


async def texts_async() -> AsyncIterator[str]:
    async for note in Note.objects.aiterator(chunk_size=1):
        yield note.text


class AStreamingBody:
    def test_is_of_the_requests_tenant(self, server: Server) -> None:
        response = server.stream(texts)
        assert current_tenant() is None
        assert response.getvalue() == b"acmeacme"

    def test_is_so_under_another_tenant(self, server: Server, globex: Tenant) -> None:
        chunks = iter(server.stream(texts))
        with use_tenant(globex):
            assert next(chunks) == b"acme"
            assert Note.objects.values_list("text", flat=True)[0] == "globex"
            assert next(chunks) == b"acme"
            assert current_tenant() == globex

    def test_may_have_scopes_and_transactions_of_its_own(self, server: Server, globex: Tenant) -> None:
        def of_both() -> Iterator[str]:
            with tenant_atomic():
                yield from texts()
                with use_tenant(globex):
                    yield from texts()
            yield str(current_tenant())

        assert server.stream(of_both).getvalue() == b"acmeacmeglobexglobexacme"

    def test_still_refuses_what_is_foreign(self, server: Server, globex: Tenant) -> None:
        with use_tenant(globex):
            rows = Note.objects.all()
        with pytest.raises(WrongTenantError):
            server.stream(lambda: (note.text for note in rows.all())).getvalue()

    def test_gives_its_connection_back_at_its_end(self, server: Server, acme: Tenant) -> None:
        response = server.stream(texts)
        next(iter(response))
        assert acme.alias in set(connections)
        response.close()
        assert acme.alias not in set(connections)

    def test_leaves_the_connection_of_a_scope_around_it(self, server: Server, acme: Tenant) -> None:
        response = server.stream(texts)
        with use_tenant(acme):
            rows = Note.objects.iterator(chunk_size=1)
            next(rows)
            response.getvalue()
            assert next(rows).text == "acme"

    def test_ends_under_its_tenant_where_nobody_reads_on(self, server: Server, acme: Tenant) -> None:
        ended_under = []

        def chunks() -> Iterator[str]:
            try:
                yield from texts()
            finally:
                ended_under.append(current_tenant())

        response = server.stream(chunks)
        next(iter(response))
        response.close()
        assert ended_under == [acme]

    def test_fails_as_it_would_in_the_view(self, server: Server) -> None:
        def chunks() -> Iterator[str]:
            yield "x"
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            server.stream(chunks).getvalue()

    def test_of_a_request_with_no_tenant_has_none(self, server: Server) -> None:
        response = server.stream(lambda: iter([str(current_tenant())]), path="/")
        assert response.getvalue() == b"None"


class AFileResponse:
    def test_of_a_file_is_left_for_the_server_to_send(self, server: Server, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("content")
        response = server.ask(lambda _: FileResponse(path.open("rb")))
        assert response.file_to_stream is not None
        assert response.getvalue() == b"content"

    def test_of_what_is_read_later_is_read_under_the_tenant(self, server: Server) -> None:
        class Rows(io.RawIOBase):
            def readinto(self, buffer: Any) -> int:
                text = "".join(texts()).encode() if not self.tell_end else b""
                self.tell_end = True
                buffer[: len(text)] = text
                return len(text)

            tell_end = False

            def readable(self) -> bool:
                return True

            def tell(self) -> int:
                return 0

        assert server.ask(lambda _: FileResponse(Rows())).getvalue() == b"acmeacme"


class AnAsyncBody:
    def test_is_of_the_requests_tenant(self, server: Server, acme: Tenant, globex: Tenant) -> None:
        async def read() -> tuple[bytes, bool]:
            response = await server.stream_async(texts_async)
            assert current_tenant() is None
            async with use_tenant(globex):
                found = b"".join([chunk async for chunk in response])
                assert [note.text async for note in Note.objects.all()] == ["globex", "globex"]
            await sync_to_async(response.close)()
            return found, await sync_to_async(lambda: acme.alias in set(connections))()

        assert async_to_sync(read)() == (b"acmeacme", False)

    def test_may_be_made_by_a_sync_iterator(self, server: Server) -> None:
        async def read() -> bytes:
            response = await server.stream_async(texts)
            with pytest.warns(Warning, match="synchronous"):
                return b"".join([chunk async for chunk in response])

        assert async_to_sync(read)() == b"acmeacme"

    def test_sees_that_it_is_cancelled(self, server: Server, acme: Tenant) -> None:
        ended_under = []

        async def chunks() -> AsyncIterator[str]:
            async with asyncio.timeout(60):  # is of the task that it was begun in
                try:
                    yield "begun"
                    await asyncio.Event().wait()
                finally:
                    ended_under.append(current_tenant())

        async def cut_off() -> None:
            response = await server.stream_async(chunks)
            reading = asyncio.create_task(self._read(response, begun := asyncio.Event()))
            await begun.wait()
            await asyncio.sleep(0)
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            assert reading.cancelled()

        async_to_sync(cut_off)()
        assert ended_under == [acme]

    async def _read(self, response: StreamingHttpResponse, begun: asyncio.Event) -> None:
        async for _ in response:
            begun.set()

    def test_of_two_tenants_at_once_are_kept_apart(self, server: Server) -> None:
        async def read(slug: str) -> bytes:
            response = await server.stream_async(texts_async, PATH.replace("acme", slug))
            return b"".join([chunk async for chunk in response])

        async def both() -> list[bytes]:
            return await asyncio.gather(*map(read, ["acme", "globex", "acme"]))

        assert async_to_sync(both)() == [b"acmeacme", b"globexglobex", b"acmeacme"]
