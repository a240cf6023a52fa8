"""Any installed app may be a tenant app, third-party ones too, with no change of code."""

from __future__ import annotations

from django.db import connection

from tests.support.fleet import Fleet, as_owner
from tests.support.migrations import NotesMigrations

WITH_TAGGIT = {"TENANT_APPS": "tenant_data,django.contrib.contenttypes,taggit"}
TAG = """
from taggit.models import Tag, TaggedItem
from django.contrib.contenttypes.models import ContentType
from tests.apps.notes.models import Note
note = Note.objects.create(text="tagged")
item = TaggedItem.objects.create(tag=Tag.objects.create(name="red", slug="red"), content_object=note)
print(item.content_type._state.db, item._state.db, item.content_type.model, Tag.objects.count())
"""
ACROSS = """
from django.contrib.contenttypes.fields import GenericRelation
from django.db.models import prefetch_related_objects
from taggit.models import TaggedItem
from tenants.context import use_tenant
from tenants.errors import WrongTenantError
from tests.apps.notes.models import Note
GenericRelation(TaggedItem).contribute_to_class(Note, "items")

def refused(use):
    try:
        use()
    except WrongTenantError:
        return "refused"
    return "let through"

with use_tenant("first"):
    theirs, their_note = TaggedItem.objects.get(), Note.objects.get()
with use_tenant("second"):
    ours, our_note = TaggedItem.objects.get(), Note.objects.get()
    print(refused(lambda: setattr(ours, "content_object", their_note)))
    print(refused(lambda: theirs.content_object))
    print(refused(lambda: prefetch_related_objects([ours, theirs], "content_object")))
    print(refused(lambda: our_note.items.add(theirs)))
    print(refused(lambda: our_note.items.remove(theirs)))
    print(refused(lambda: our_note.items.set([theirs])))
    print(refused(lambda: their_note.items.clear()))
    print(our_note.items.count())
"""
IN_MAIN = """
from django.contrib.contenttypes.models import ContentType
from tenants.context import use_main, use_tenant
main = ContentType.objects.get(app_label="tenants", model="tenant")
print(main._state.db)
with use_tenant("first"), use_main():
    print(ContentType.objects.get(app_label="tenants", model="tenant").pk == main.pk)
"""


def tables_of_main() -> list[str]:
    return connection.introspection.table_names()


class AThirdPartyAppWithGenericRelations:
    def test_is_brought_to_older_tenants_and_is_there_in_new_ones(self, fleet: Fleet) -> None:
        (first,) = fleet.make("first")
        found = fleet.migrate_json(**WITH_TAGGIT)
        assert (found["exit"], found["tenants"]["migrated"]) == (0, 1), found
        created = fleet.manage("tenants", "create", "second", **WITH_TAGGIT)
        assert created.returncode == 0, created.stderr
        done = fleet.manage("tenants", "run", "first", "second", "--", "shell", "-c", TAG, **WITH_TAGGIT)
        assert (done.returncode, done.stdout.count(" note 1\n")) == (0, 2), done.stdout
        done = fleet.manage("shell", "-c", ACROSS, **WITH_TAGGIT)
        assert done.stdout.split()[-8:] == ["refused"] * 7 + ["1"], done.stdout + done.stderr
        assert "taggit_tag" not in tables_of_main()
        kept = "SELECT app_label FROM django_content_type GROUP BY 1 ORDER BY 1"
        assert as_owner(first, kept) == [("contenttypes",), ("notes",), ("taggit",), ("tenant_data",)]

    def test_leaves_the_content_types_of_main_alone(self, fleet: Fleet) -> None:
        fleet.make("first")
        fleet.migrate_json(**WITH_TAGGIT)
        done = fleet.manage("shell", "-c", IN_MAIN, **WITH_TAGGIT)
        assert done.stdout.split()[-2:] == ["default", "True"], done.stderr

    def test_keeps_its_content_type_when_a_model_is_renamed(self, fleet: Fleet, notes: NotesMigrations) -> None:
        """As `migrate` has it: rows that point at the model by its content type stay with it."""
        (first,) = fleet.make("first")
        fleet.migrate_json(**WITH_TAGGIT)
        which = "SELECT id FROM django_content_type WHERE app_label = 'notes' AND model = %s"
        before = as_owner(first, which, "note")
        notes.add("0002_renamed", 'migrations.RenameModel("Note", "Memo")')
        assert fleet.migrate_json(**WITH_TAGGIT)["exit"] == 0
        assert as_owner(first, which, "memo") == before

    def test_is_taken_back_again(self, fleet: Fleet) -> None:
        (first,) = fleet.make("first")
        fleet.migrate_json(**WITH_TAGGIT)
        found = fleet.migrate_json("taggit", "zero", **WITH_TAGGIT)
        assert found["exit"] == 0, found
        assert as_owner(first, "SELECT to_regclass('taggit_tag')") == [(None,)]


class AnAppWithKeysToMain:
    def test_is_named_by_a_system_check_with_the_mend(self, fleet: Fleet) -> None:
        done = fleet.manage("check", TENANT_APPS="tenant_data,django.contrib.admin")
        assert done.returncode == 1
        assert "(tenants.E001)" in done.stderr
        assert "admin.LogEntry.user points from a tenant's database to accounts.User" in done.stderr
        assert "out of TENANT_APPS" in done.stderr

    def test_cannot_be_pointed_at_from_main(self, fleet: Fleet) -> None:
        done = fleet.manage("check", TENANT_APPS="tenant_data,accounts")
        assert done.returncode == 1
        assert "(tenants.E00" in done.stderr
