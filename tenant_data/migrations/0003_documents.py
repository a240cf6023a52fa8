"""Versions, tags, full-text search and the trash of documents.

No row is touched, so what is locked is locked for milliseconds: 0004 fills the words of documents that are there, and
0005 makes the indexes. A generated column would be simpler than the trigger, but it writes the table anew under ACCESS
EXCLUSIVE: 50,000 documents of 1.7 kB could be neither read nor written for 31 s, on two cores that others worked on.

Code from before this migration goes on working: what it does not name, the database fills.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

# A tsvector holds 1 MB, and nothing that is longer can be written. The worst that 100,000 characters were made to give
# is 0.87 MB. The names tell pg_catalog, since a restore runs with no search_path.
KEEP_WORDS = """
CREATE FUNCTION document_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search := setweight(to_tsvector('pg_catalog.english', NEW.title), 'A')
        || setweight(to_tsvector('pg_catalog.english', left(NEW.body, 100000)), 'B');
    RETURN NEW;
END $$;

CREATE TRIGGER document_words BEFORE INSERT OR UPDATE OF title, body ON tenant_data_document
    FOR EACH ROW EXECUTE FUNCTION document_words();
"""
FORGET_WORDS = """
DROP TRIGGER document_words ON tenant_data_document;
DROP FUNCTION document_words;
"""


class Migration(migrations.Migration):
    dependencies = [("tenant_data", "0002_file_limits")]

    operations = [
        migrations.AddField(
            model_name="document",
            name="tags",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                blank=True,
                db_default=[],
                default=list,
                help_text="As tenant_data.tags makes them: in order, each once.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="document",
            name="version",
            field=models.IntegerField(db_default=1, default=1, help_text="1 at first, one more with each change."),
        ),
        migrations.AddField(
            model_name="document",
            name="editor_id",
            field=models.UUIDField(blank=True, help_text="Id of the user who wrote this version, in main.", null=True),
        ),
        migrations.AddField(
            model_name="document",
            name="deleted_at",
            field=models.DateTimeField(blank=True, help_text="When it was put in the trash.", null=True),
        ),
        migrations.AddField(
            model_name="document",
            name="search",
            field=django.contrib.postgres.search.SearchVectorField(
                editable=False, help_text="Its words; a trigger in the database keeps them.", null=True
            ),
        ),
        migrations.RunSQL(KEEP_WORDS, FORGET_WORDS),
        migrations.CreateModel(
            name="DocumentVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.IntegerField()),
                ("title", models.CharField(max_length=200)),
                ("body", models.TextField(blank=True)),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), blank=True, default=list, size=None
                    ),
                ),
                ("editor_id", models.UUIDField(blank=True, help_text="Id of the user who wrote it, in main.", null=True)),
                ("written_at", models.DateTimeField(help_text="When the document came to be so.")),
                (
                    "document",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="versions",
                        to="tenant_data.document",
                    ),
                ),
                (
                    "file",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="tenant_data.file",
                    ),
                ),
            ],
            options={
                "ordering": ("-number",),
                "constraints": [
                    models.UniqueConstraint(fields=("document", "number"), name="version_once_a_document")
                ],
            },
        ),
    ]
