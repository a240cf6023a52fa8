"""Pages that all cost the same: each begins after the row at which the one before ended.

DRF's ``CursorPagination`` knows a position by one column and counts rows with the same value from there. Here it is the
whole ordering, which ends in a unique column, so that one comparison of rows, ``(title, id) > (x, y)``, finds the place
in an index.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db.models import F, Field, Func, QuerySet, Value
from django.db.models.lookups import GreaterThan, LessThan
from rest_framework.exceptions import NotFound
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import Cursor
from rest_framework.request import Request
from rest_framework.views import APIView

from tenants.api.pagination import Pages


class Row(Func):
    """``ROW(a, b)``."""

    function = "ROW"
    output_field: Field[Any, Any] = Field()


class IdLast(OrderingFilter):
    """``?ordering=`` one of the view's fields, with the id to tell equal ones apart."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        (first, *_) = super().get_ordering(request, queryset, view) or ("id",)
        return first, "-id" if first.startswith("-") else "id"


class Keyset(Pages):
    """A page. All columns of the ordering must point the same way, and none may hold a NULL."""

    page: list[Any]

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.request, self.base_url = request, request.build_absolute_uri()
        self.page_size = self.get_page_size(request) or self.page_size
        self.ordering = self.get_ordering(request, queryset, cast(APIView, view))
        self.cursor: Any = self.decode_cursor(request)
        backwards = self.cursor is not None and self.cursor.reverse
        position: Any = self.cursor.position if self.cursor is not None else None
        ordering = [opposite(name) for name in self.ordering] if backwards else list(self.ordering)
        rows = queryset.order_by(*ordering)
        if position is not None:
            rows = self._beyond(rows, ordering, position)
        found = list(rows[: self.page_size + 1])
        has_more = len(found) > self.page_size
        self.page = found[: self.page_size]
        if backwards:
            self.page.reverse()
        self.has_next = position is not None if backwards else has_more
        self.has_previous = has_more if backwards else position is not None
        return self.page

    def get_next_link(self) -> str | None:
        return self._link(self.page[-1:], reverse=False) if self.has_next else None

    def get_previous_link(self) -> str | None:
        return self._link(self.page[:1], reverse=True) if self.has_previous else None

    def _link(self, rows: list[Any], *, reverse: bool) -> str:
        # Where a page has become empty there is no row to go on from: the list's first page, or its last, does.
        position = self._get_position_from_instance(rows[0], self.ordering) if rows else None
        return self.encode_cursor(Cursor(offset=0, reverse=reverse, position=cast(Any, position)))

    def _get_position_from_instance(self, instance: Any, ordering: Any) -> str:
        values = [getattr(instance, name.lstrip("-")) for name in ordering]
        return json.dumps([ordering[0], *(_as_json(value) for value in values)])

    def _beyond(self, rows: QuerySet[Any], ordering: list[str], position: str) -> QuerySet[Any]:
        names = [name.lstrip("-") for name in ordering]
        try:
            meant_for, *values = json.loads(position)
            fields = [rows.query.resolve_ref(name).output_field for name in names]
            here = [Value(_from_json(field, value), field) for field, value in zip(fields, values, strict=True)]
        except (ValidationError, ValueError, TypeError, OverflowError) as error:
            raise NotFound(self.invalid_cursor_message) from error
        if meant_for != self.ordering[0]:
            raise NotFound(self.invalid_cursor_message)
        compared = LessThan if ordering[0].startswith("-") else GreaterThan
        return rows.filter(compared(Row(*map(F, names)), Row(*here)))


def opposite(name: str) -> str:
    return name.removeprefix("-") if name.startswith("-") else f"-{name}"


def _as_json(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _from_json(field: Any, value: Any) -> Any:
    """Raises ``ValidationError`` or ``ValueError`` for what the client made up."""
    if value is None:
        raise ValueError("no value")
    made = field.to_python(value)
    if isinstance(made, datetime):
        # PostgreSQL knows no offset of 16 hours or more; who is beyond year 1 or 9999 in UTC overflows.
        return made.astimezone(UTC)
    # What PostgreSQL cannot hold: a NUL, or half a character.
    if isinstance(made, str) and ("\0" in made or made.encode() is None):
        raise ValueError("no text")
    return made
