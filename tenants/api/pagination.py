"""Lists that stay right while rows are added: ``{"next", "previous", "results"}``."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView


class Pages(CursorPagination):
    """Pages of 50 rows, or as many as ``?page_size=`` says, up to 500."""

    page_size = 50
    page_size_query_param = "page_size"
    page_size_query_description = "How many at a time; 500 at the most."
    max_page_size = 500

    def get_page_size(self, request: Request) -> int | None:
        """Raises ``ValidationError`` for what is no number; REST framework would pass over it."""
        said = request.query_params.get(self.page_size_query_param)
        if said is not None and not (said.isascii() and said.isdecimal() and int(said[:9])):
            raise ValidationError({self.page_size_query_param: ["Say a number, 1 or more."]})
        return super().get_page_size(request)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for one in parameters:
            if one["name"] == self.page_size_query_param:
                one["schema"]["minimum"] = 1
        return parameters


class NewestFirst(Pages):
    """Newest first, unless the view has an ``ordering`` of its own; it must name a date or time."""

    ordering = "-created_at"

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        return (getattr(view, "ordering", self.ordering),)

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor = super().decode_cursor(request)
        if cursor is None or cursor.position is None:
            return cursor
        try:
            # A cursor is a position that the client sends back: it may be made up, and then is no time, or one with an
            # offset of 16 hours or more, which PostgreSQL does not know.
            moment = parse_datetime(str(cursor.position))
            in_utc = moment and moment.astimezone(UTC).isoformat()
        except (ValueError, OverflowError) as error:
            raise NotFound(self.invalid_cursor_message) from error
        if not in_utc:
            raise NotFound(self.invalid_cursor_message)
        return cursor._replace(position=in_utc)  # type: ignore[arg-type]  # the stubs have a number
