"""What goes in and out of the tenant data API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound

from tenant_data.errors import FileNameError
from tenant_data.files import keep
from tenant_data.models import Document, File
from tenant_data.names import display_name


class FileSerializer(serializers.ModelSerializer[File]):
    """What is known of a file. Its content is at `content/`."""

    class Meta:
        model = File
        fields = ("id", "name", "size", "sha256", "content_type", "owner_id", "created_at")
        read_only_fields = fields


class UploadSerializer(serializers.Serializer[File]):
    """A file as ``uploads`` has put it into the storage. An empty one is a file too."""

    file = serializers.FileField(allow_empty_file=True)

    def validate_file(self, upload: Any) -> Any:
        try:
            display_name(upload.name)
        except FileNameError as error:
            raise serializers.ValidationError(str(error)) from error
        return upload

    def create(self, validated_data: dict[str, Any]) -> File:
        upload = validated_data["file"]
        name, owner_id = display_name(upload.name), validated_data["owner_id"]
        return keep(upload.received, name, upload.content_type, owner_id)


class FileOfThisTenant(serializers.PrimaryKeyRelatedField[File]):
    """A file's id. One that the current tenant does not have is 404, like such an id in a path."""

    def get_queryset(self) -> QuerySet[File]:
        # Built for each request: the current tenant is the one it asks.
        return File.objects.all()

    def fail(self, key: str, **kwargs: Any) -> Any:
        if key == "does_not_exist":
            raise NotFound("There is no such file.")
        return super().fail(key, **kwargs)


class DocumentSerializer(serializers.ModelSerializer[Document]):
    """A text, and perhaps the file it needs."""

    file = FileOfThisTenant(allow_null=True, default=None)

    class Meta:
        model = Document
        fields = ("id", "title", "body", "file", "owner_id", "created_at", "updated_at")
        read_only_fields = ("id", "owner_id", "created_at", "updated_at")
