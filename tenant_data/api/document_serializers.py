"""What goes in and out of the API of documents."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound

from accounts.api.text import OnlyText, TextualSerializer
from tenant_data import tags
from tenant_data.documents import change
from tenant_data.models import Document, DocumentVersion, File
from tenant_data.search import marked

BODY_MAX_LENGTH = 500_000
BULK_MAX_LENGTH = 500
NO_SUCH_FILE = "There is no such file."


class FileOfThisTenant(serializers.PrimaryKeyRelatedField[File]):
    """A file's id. One that the current tenant does not have is 404, like such an id in a path."""

    def get_queryset(self) -> QuerySet[File]:
        # Built for each request: the current tenant is the one it asks.
        return File.objects.all()

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # REST framework takes "" for null, and a client that lost the id would take the file away.
        return self.to_internal_value(data) if data == "" else super().run_validation(data)

    def fail(self, key: str, **kwargs: Any) -> Any:
        if key == "does_not_exist":
            raise NotFound(NO_SUCH_FILE)
        return super().fail(key, **kwargs)


class TagsField(serializers.ListField):
    """Tags in any spelling; kept, and given back, in one."""

    child = OnlyText(max_length=tags.MAX_LENGTH, allow_blank=True)

    def to_internal_value(self, data: Any) -> list[str]:
        return tags.normalised_all(super().to_internal_value(data))


class DocumentSerializer(TextualSerializer[Document]):
    """A text, and perhaps the file it needs."""

    body = OnlyText(required=False, allow_blank=True, max_length=BODY_MAX_LENGTH)
    tags = TagsField(
        default=list, max_length=tags.MAX_TAGS, help_text="Kept in lower case, in order and each once; empty ones go."
    )
    file = FileOfThisTenant(allow_null=True, default=None, help_text="Id of a file that has been uploaded, or null.")

    class Meta:
        model = Document
        fields: tuple[str, ...] = (
            *("id", "title", "body", "tags", "file", "owner_id", "version", "editor_id"),
            *("created_at", "updated_at", "deleted_at"),
        )
        read_only_fields: tuple[str, ...] = (
            *("id", "owner_id", "version", "editor_id"),
            *("created_at", "updated_at", "deleted_at"),
        )

    def update(self, instance: Document, validated_data: dict[str, Any]) -> Document:
        change(instance, **validated_data)
        return instance


class HighlightsSerializer(serializers.Serializer[Document]):
    """Where the words that were searched for stand. HTML: found words in `<mark>`, all else escaped."""

    title = serializers.CharField()
    body = serializers.CharField(help_text="Up to two passages.")


class ListedDocumentSerializer(DocumentSerializer):
    """A document in a list."""

    highlights = serializers.SerializerMethodField(help_text="With `q` only; else null.")

    class Meta(DocumentSerializer.Meta):
        fields = (*DocumentSerializer.Meta.fields, "highlights")

    @extend_schema_field(HighlightsSerializer(allow_null=True))
    def get_highlights(self, document: Any) -> dict[str, str] | None:
        if not hasattr(document, "rank"):
            return None
        return {"title": marked(document.title_headline), "body": marked(document.body_headline)}


class NewDocumentSerializer(DocumentSerializer):
    """One of many documents. Whether their files are there is asked for all of them at once."""

    file: Any = serializers.UUIDField(source="file_id", allow_null=True, default=None)


class NewDocumentsSerializer(serializers.Serializer[Any]):
    """Documents to be written together."""

    documents = serializers.ListField(child=NewDocumentSerializer(), min_length=1, max_length=BULK_MAX_LENGTH)

    def validate_documents(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted = {document["file_id"] for document in documents} - {None}
        there = set(File.objects.filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()
        without = [str(at) for at, document in enumerate(documents) if document["file_id"] in wanted - there]
        if without:
            raise NotFound(f"{NO_SUCH_FILE} It is named by documents {', '.join(without)}, counted from 0.")
        return documents


class WrittenDocumentsSerializer(serializers.Serializer[Any]):
    """Documents that were written together, in the order in which they were sent."""

    results = DocumentSerializer(many=True)


class DocumentIdsSerializer(serializers.Serializer[Any]):
    """Documents to be deleted together."""

    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=BULK_MAX_LENGTH)


class DeletedSerializer(serializers.Serializer[Any]):
    """How many documents were put in the trash."""

    deleted = serializers.IntegerField()


class ListedVersionSerializer(serializers.ModelSerializer[DocumentVersion]):
    """What a document was, without its body."""

    class Meta:
        model = DocumentVersion
        fields: tuple[str, ...] = ("number", "title", "tags", "file", "editor_id", "written_at")
        read_only_fields = fields


class VersionSerializer(ListedVersionSerializer):
    """What a document was."""

    class Meta(ListedVersionSerializer.Meta):
        fields = (*ListedVersionSerializer.Meta.fields, "body")


class ComparisonSerializer(serializers.Serializer[Any]):
    """How two versions differ."""

    before = serializers.IntegerField()
    after = serializers.IntegerField()
    changed = serializers.ListField(
        child=serializers.ChoiceField(choices=("title", "body", "tags", "file")), help_text="The fields that differ."
    )
    diff = serializers.CharField(help_text="Of the bodies, in unified form; empty where they are equal.")
