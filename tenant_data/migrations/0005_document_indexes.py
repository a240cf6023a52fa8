"""An index for each way to list, filter and search documents.

Concurrently, so that readers and writers go on meanwhile; hence not in one transaction. What is cut off is gone on with
by the next rollout, which makes an index anew that was left INVALID.
"""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Upper

KEPT = Q(deleted_at=None)
INDEXES = (
    models.Index(fields=["created_at", "id"], name="document_by_creation", condition=KEPT),
    models.Index(fields=["updated_at", "id"], name="document_by_change", condition=KEPT),
    models.Index(fields=["title", "id"], name="document_by_title", condition=KEPT),
    models.Index(fields=["owner_id", "created_at", "id"], name="document_by_owner", condition=KEPT),
    models.Index(OpClass(Upper("title"), name="text_pattern_ops"), name="document_by_title_start", condition=KEPT),
    GinIndex(fields=["tags"], name="document_by_tag", condition=KEPT),
    GinIndex(fields=["search"], name="document_by_word", condition=KEPT),
    models.Index(fields=["deleted_at", "id"], name="document_in_trash", condition=Q(deleted_at__isnull=False)),
)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tenant_data", "0004_document_words")]

    operations = [
        *(AddIndexConcurrently(model_name="document", index=index) for index in INDEXES),
        RemoveIndexConcurrently(model_name="document", name="document_newest_first"),
    ]
