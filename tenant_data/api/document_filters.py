"""Which documents a list shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from tenant_data.models import Document
from tenant_data.models.document import DocumentQuerySet
from tenant_data.search import found
from tenant_data.tags import normalised_all

YES_OR_NO = {"true": True, "false": False}
TRASHED = OpenApiParameter(
    "trashed", OpenApiTypes.STR, enum=list(YES_OR_NO), description="`true`: what is in the trash, and nothing else."
)

TAG = OpenApiParameter(
    "tag",
    OpenApiTypes.STR,
    many=True,
    description="A tag, in any spelling. Given more than once: documents that have all of them.",
)


def asked_for_trash(request: Request) -> bool:
    """Whether ``?trashed=true`` was said; 400 where it is neither true nor false."""
    said = request.query_params.get("trashed", "false")
    if said not in YES_OR_NO:
        raise ValidationError({"trashed": ["Say true or false."]})
    return YES_OR_NO[said]


class TagsFormField(forms.CharField):
    """The parameter as often as it is given."""

    widget = forms.SelectMultiple

    def clean(self, value: Any) -> list[str]:
        return normalised_all(super(TagsFormField, self).clean(tag) for tag in value or ())


class MomentFormField(filters.IsoDateTimeFilter.field_class):
    """A time in UTC: PostgreSQL knows no offset of 16 hours or more."""

    def clean(self, value: Any) -> datetime | None:
        if value == "":
            # It is no filter to Django; but whoever asks for a time and says none would be shown everything.
            raise forms.ValidationError("Say a time, or leave it out.")
        moment = super().clean(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError as error:
            raise forms.ValidationError("Say a time between the years 1 and 9999 in UTC.") from error


class IdFormField(forms.UUIDField):
    """An id as it is shown; Python would take it with braces, or without hyphens."""

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        if value is not None and str(found) != value.lower():
            raise forms.ValidationError(self.error_messages["invalid"], "invalid")
        return found


class IdFilter(filters.UUIDFilter):
    field_class = IdFormField


class MomentFilter(filters.IsoDateTimeFilter):
    field_class = MomentFormField


class TagsFilter(filters.Filter):
    field_class = TagsFormField


@extend_schema_field({"type": "string", "enum": list(YES_OR_NO)})
class YesOrNoFilter(filters.TypedChoiceFilter):
    """Described as what it takes, and not as the field that it looks at."""


class DocumentFilters(filters.FilterSet):
    q = filters.CharFilter(
        method="search",
        max_length=200,
        label='Words to search for in title and body: `word`, `"a phrase"`, `or`, `-without`. The best comes first.',
    )
    tag = TagsFilter("tags", "contains")
    author = IdFilter("owner_id", label="Id of the user who wrote it.")
    title = filters.CharFilter("title", "istartswith", max_length=200, label="How the title begins, in any case.")
    created_from = MomentFilter("created_at", "gte", label="Written at this time or later.")
    created_before = MomentFilter("created_at", "lt", label="Written before this time.")
    updated_from = MomentFilter("updated_at", "gte", label="Last changed at this time or later.")
    updated_before = MomentFilter("updated_at", "lt", label="Last changed before this time.")
    has_file = YesOrNoFilter(
        field_name="file",
        lookup_expr="isnull",
        exclude=True,
        choices=[(word, word) for word in YES_OR_NO],
        coerce=YES_OR_NO.__getitem__,
        label="Whether it has a file.",
    )

    class Meta:
        model = Document
        fields: tuple[str, ...] = ()

    def search(self, documents: DocumentQuerySet, name: str, text: str) -> DocumentQuerySet:
        return found(documents, text)
