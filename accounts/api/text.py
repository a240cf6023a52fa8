"""Text that is text. REST framework takes numbers for it: a name that was sent as 007 would be kept as "7"."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from django.db import models
from rest_framework import serializers

Row = TypeVar("Row", bound=models.Model)


class OnlyText(serializers.CharField):
    """Refuses whatever else JSON has. Stands before REST framework's field in the bases."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class OnlySlug(OnlyText, serializers.SlugField):
    """The same for a slug."""


class TextualSerializer(serializers.ModelSerializer[Row], Generic[Row]):
    """REST framework's for a model, whose texts take nothing else."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: OnlyText,
        models.TextField: OnlyText,
        models.SlugField: OnlySlug,
    }
