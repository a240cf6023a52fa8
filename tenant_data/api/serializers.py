"""What goes in and out of the API of files."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from tenant_data.errors import FileNameError
from tenant_data.files import keep
from tenant_data.models import File
from tenant_data.names import display_name


@extend_schema_serializer(component_name="StoredFile")  # generated clients have a `File` of their own
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
