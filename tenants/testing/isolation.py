"""``assert_isolated``: an endpoint of one's own shows and changes nothing of another tenant's."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import Model
from django.http import HttpResponseBase
from django.test import Client

from tenants import naming
from tenants.context import use_main, use_tenant
from tenants.models import Tenant
from tenants.routing.registry import directory

SHORTEST = 4
"""Shorter values, such as a 1, are found in any reply."""


def assert_isolated(
    client: Client,
    method: str,
    url: str,
    *,
    own: Model,
    foreign: Model,
    data: Any = None,
    status: int = 404,
    **request: Any,
) -> None:
    """Assert that ``client``, who may do it with ``own``, can do and learn nothing of another tenant's ``foreign``.

    ``url`` is a template with ``{tenant}``, the slug, and ``{object}``, the row:
    ``"/api/v1/tenants/{tenant}/invoices/{object.pk}/"``. ``data`` is what is sent: the same each time, or a function
    that takes the row and gives it. ``request`` goes to the client as it is (``format``, ``headers``...). The rows are
    of the same model, in the databases of two tenants; or in main, with a ``tenant``.

    Asked for ``foreign`` in the client's own tenant, and in the other one where the URL names it, the endpoint must
    answer ``status``: 404, or 200 for a list that must come out empty. No value of ``foreign`` may be in the reply or
    its headers, save what the request said itself, and no row of its model may have changed. Then the same request
    with ``own`` must succeed: if it does not, the check could not fail. (So a DELETE deletes ``own``.)
    """
    endpoint = _Endpoint(client, method, url, data, request)
    tenant, other = _tenant_of(own), _tenant_of(foreign)
    assert tenant != other, f"own and foreign are both of the tenant {tenant}"
    ours = endpoint.asked_for(own, tenant)
    assert ours.said != endpoint.asked_for(foreign, tenant).said, (
        f"{ours.what} means own as well as foreign: have them differ in what the request says, such as the key"
    )
    rows = _rows_beside(foreign)
    secrets = dict(_values_to_look_for(own, foreign))
    for addressed in (tenant, other) if "{tenant" in url else (tenant,):
        theirs = endpoint.asked_for(foreign, addressed)
        seen = {name: value for name, value in secrets.items() if value not in theirs.said}
        assert seen, f"{theirs.what} says all of foreign itself: give it a value that a reply would give away"
        reply = theirs.send()
        assert reply.status_code == status, f"{theirs.what}, of {other}, answered {reply.status_code}, not {status}"
        text = _text_of(reply)
        shown = [f"{name} {value!r}" for name, value in seen.items() if _is_in(text, value)]
        assert not shown, f"{theirs.what} shows of {other}: {', '.join(shown)}"
        assert _rows_beside(foreign) == rows, f"{theirs.what} changed what {other} has"
    answered = ours.send().status_code
    assert answered < 400, (
        f"{ours.what}, the client's own, answered {answered}: so the check could not fail; "
        f"give a client and data that may do this in {tenant}"
    )


@dataclass(frozen=True)
class _Asked:
    """A request: in words, all that it says, and how to send it."""

    what: str
    said: str
    send: Callable[[], HttpResponseBase]


@dataclass(frozen=True)
class _Endpoint:
    client: Client
    method: str
    url: str
    data: Any
    request: dict[str, Any]

    def asked_for(self, row: Model, tenant: Tenant) -> _Asked:
        path = self.url.format(tenant=tenant.slug, object=row)
        data = self.data(row) if callable(self.data) else self.data
        body = {} if data is None else {"data": data}
        send = partial(getattr(self.client, self.method.lower()), path, **body, **self.request)
        return _Asked(f"{self.method.upper()} {path}", f"{path} {data}", send)


def _tenant_of(row: Model) -> Tenant:
    if naming.is_tenant_alias(row._state.db or ""):
        tenant = directory.find_by_alias(str(row._state.db))
    else:
        tenant = getattr(row, "tenant", None)
    if tenant is None:
        raise TypeError(f"{row!r} is of no tenant: give a saved row of a tenant app, or one of main with a `tenant`")
    return tenant


def _rows_beside(row: Model) -> list[dict[str, Any]]:
    """All rows of its model where it lives."""
    scope: AbstractContextManager[object] = (
        use_tenant(_tenant_of(row)) if naming.is_tenant_alias(str(row._state.db)) else use_main()
    )
    with scope:
        return list(type(row)._base_manager.order_by("pk").values())


def _values_to_look_for(own: Model, foreign: Model) -> Iterator[tuple[str, str]]:
    """Fields of ``foreign`` whose value would give it away, and the value as text. One of a few choices would not."""
    for field in foreign._meta.concrete_fields:
        value = _as_text(field.value_from_object(foreign))
        if not field.choices and len(value) >= SHORTEST and value != _as_text(field.value_from_object(own)):
            yield field.name, value


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    return value.replace(tzinfo=None).isoformat() if isinstance(value, datetime) else str(value)


def _text_of(reply: HttpResponseBase) -> str:
    """Headers, cookies and body."""
    headers = "\n".join(f"{name}: {text}" for name, text in reply.items())
    return f"{headers}\n{reply.cookies.output()}\n{b''.join(reply).decode(errors='replace')}"


def _is_in(text: str, value: str) -> bool:
    """Whether a value stands in a text: as it is, or as JSON or HTML write it."""
    spellings = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value)}
    return any(spelling in text for spelling in spellings)
