"""What the guards see beside the plain ways of ``test_routing``: each line of the table in docs/isolation.md."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django import forms
from django.db import connections
from django.db.models import (
    Case,
    Exists,
    F,
    Model,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    Value,
    When,
    prefetch_related_objects,
)
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext

from tenant_data.models import Document, File
from tenants.context import use_main, use_tenant
from tenants.errors import NoTenantError, WrongTenantError
from tenants.models import Tenant
from tests.apps.notes.models import Note
from tests.isolation.shelves import Label, Shelf, shelves

__all__ = ["shelves"]

pytestmark = pytest.mark.usefixtures("shelves")


def file(**fields: object) -> File:
    return File.objects.create(name="a.txt", sha256="0" * 64, size=1, content_type="text/plain", **fields)


class Twins:
    """A document with its file in two tenants, with the same keys; what Django cannot tell apart."""

    def __init__(self, acme: Tenant, globex: Tenant) -> None:
        key = uuid4()
        with use_tenant(acme):
            self.acmes = Document.objects.create(id=key, title="of acme", file=file(id=key))
        with use_tenant(globex):
            self.globexs = Document.objects.create(id=key, title="of globex", file=file(id=key))


@pytest.fixture
def twins(acme: Tenant, globex: Tenant) -> Twins:
    return Twins(acme, globex)


class Shelves:
    """A shelf with a label in two tenants, with the same keys."""

    def __init__(self, acme: Tenant, globex: Tenant) -> None:
        self.acmes, self.acmes_label = self.put_up(acme)
        self.globexs, self.globexs_label = self.put_up(globex)

    def put_up(self, tenant: Tenant) -> tuple[Shelf, Label]:
        with use_tenant(tenant):
            label = Label.objects.create(name="red")
            shelf = Shelf.objects.create(main_label=label)
            shelf.labels.add(label)
            return shelf, label


@pytest.fixture
def two(acme: Tenant, globex: Tenant) -> Shelves:
    return Shelves(acme, globex)


class RowsOfTwoTenantsAtOnce:
    @pytest.mark.parametrize("lookup", ["file", "file__documents", Prefetch("file", File.objects.all())])
    def test_are_not_prefetched_for(self, twins: Twins, globex: Tenant, lookup: Any) -> None:
        for document in (twins.acmes, twins.globexs):
            document._state.fields_cache.clear()
        with use_tenant(globex), pytest.raises(WrongTenantError):
            prefetch_related_objects([twins.globexs, twins.acmes], lookup)

    def test_are_not_prefetched_for_many_to_many(self, two: Shelves, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            prefetch_related_objects([two.globexs, two.acmes], "labels")

    def test_are_prefetched_for_by_no_queryset_of_another(self, twins: Twins, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            files = File.objects.all()
        with use_tenant(globex), pytest.raises(WrongTenantError):
            list(Document.objects.prefetch_related(Prefetch("file", files)))

    def test_do_not_stand_in_one_set(self, twins: Twins) -> None:
        assert hash(twins.acmes) == hash(twins.globexs)
        with pytest.raises(WrongTenantError):
            _ = {twins.acmes, twins.globexs}

    def test_do_not_find_each_other_in_a_list_or_as_a_key(self, twins: Twins) -> None:
        with pytest.raises(WrongTenantError):
            assert twins.acmes in [twins.globexs]
        with pytest.raises(WrongTenantError):
            assert twins.acmes in {twins.globexs: "of globex"}
        with pytest.raises(WrongTenantError):
            assert twins.acmes != twins.globexs

    def test_are_not_written_in_bulk(self, twins: Twins, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            Document.objects.bulk_update([twins.globexs, twins.acmes], ["title"])


class AForeignRow:
    @pytest.mark.parametrize(
        "change",
        [
            lambda ours, theirs: ours.documents.add(theirs),
            lambda ours, theirs: ours.documents.add(theirs, bulk=False),
            lambda ours, theirs: ours.documents.remove(theirs),
            lambda ours, theirs: ours.documents.set([theirs]),
            lambda ours, theirs: ours.documents.set([theirs], clear=True),
        ],
        ids=["add", "add one by one", "remove", "set", "clear and set"],
    )
    def test_is_refused_by_a_reverse_manager(
        self, twins: Twins, globex: Tenant, change: Callable[[Any, Any], object]
    ) -> None:
        with use_tenant(globex):
            with pytest.raises(WrongTenantError):
                change(twins.globexs.file, twins.acmes)
            assert Document.objects.get().file_id == twins.globexs.file_id

    @pytest.mark.parametrize(
        "change",
        [
            lambda ours, theirs: ours.labels.add(theirs),
            lambda ours, theirs: ours.labels.remove(theirs),
            lambda ours, theirs: ours.labels.set([theirs]),
            lambda ours, theirs: ours.labels.set([theirs], clear=True),
        ],
        ids=["add", "remove", "set", "clear and set"],
    )
    def test_is_refused_by_a_many_to_many_manager(
        self, two: Shelves, globex: Tenant, change: Callable[[Any, Any], object]
    ) -> None:
        with use_tenant(globex):
            with pytest.raises(WrongTenantError):
                change(two.globexs, two.acmes_label)
            assert two.globexs.labels.count() == 1

    @pytest.mark.parametrize("manager", ["labels", "all_shelves", "shelves"])
    @pytest.mark.parametrize("method", ["clear", "count", "create", "get_or_create"])
    def test_has_no_manager_elsewhere(self, two: Shelves, globex: Tenant, manager: str, method: str) -> None:
        owner = two.acmes if manager == "labels" else two.acmes_label
        with use_tenant(globex), pytest.raises(WrongTenantError):
            getattr(getattr(owner, manager), method)()

    def test_does_not_give_out_what_was_prefetched_for_it(self, two: Shelves, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            (shelf,) = Shelf.objects.prefetch_related("labels")
        with use_tenant(globex), pytest.raises(WrongTenantError):
            list(shelf.labels.all())

    def test_reached_by_select_related_is_still_foreign(self, twins: Twins, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            document: Any = Document.objects.select_related("file").get()
        with use_tenant(globex), pytest.raises(WrongTenantError):
            document.file.save()

    @pytest.mark.parametrize("using_names_it", [False, True], ids=["", "using"])
    def test_is_not_refreshed_from_its_twin(self, twins: Twins, globex: Tenant, using_names_it: bool) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            twins.acmes.refresh_from_db(using=globex.alias if using_names_it else None)

    def test_is_not_refreshed_from_its_twin_where_no_tenant_is_current(self, twins: Twins, globex: Tenant) -> None:
        with pytest.raises(WrongTenantError):
            twins.acmes.refresh_from_db(using=globex.alias)

    def test_does_not_load_what_was_deferred(self, twins: Twins, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            document = Document.objects.defer("title").get()
        with use_tenant(globex), pytest.raises(WrongTenantError):
            _ = document.title

    @pytest.mark.parametrize("check", ["full_clean", "validate_unique", "validate_constraints"])
    def test_is_not_validated_against_others(self, two: Shelves, globex: Tenant, check: str) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            getattr(two.acmes_label, check)()

    @pytest.mark.parametrize(
        "use",
        [
            lambda theirs: Document.objects.get_or_create(title="new", defaults={"file": theirs}),
            lambda theirs: Document.objects.update_or_create(title="new", defaults={"file": theirs}),
            lambda theirs: Document.objects.update_or_create(title="of globex", defaults={"file": theirs}),
            lambda theirs: Document.objects.create(title="new", file=theirs),
            lambda theirs: Document.objects.filter(Q(title="x") | ~Q(file=theirs)).count(),
            lambda theirs: Document.objects.annotate(x=Case(When(file=theirs, then=1))).count(),
            lambda theirs: Document.objects.annotate(x=Case(When(file__documents__file=theirs, then=1))).count(),
        ],
        ids=["get_or_create", "update_or_create", "update", "create", "Q", "When", "through others"],
    )
    def test_is_no_value(self, twins: Twins, globex: Tenant, use: Callable[[Any], object]) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            use(twins.acmes.file)

    def test_is_not_found_by_itself_as_a_key(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            note = Note.objects.create(text="of acme")
        with use_tenant(globex):
            with pytest.raises(TypeError):
                Note.objects.filter(pk=note).exists()
            with pytest.raises(TypeError):
                Note.objects.in_bulk([note])

    def test_is_not_what_a_receiver_may_keep(self, twins: Twins, globex: Tenant) -> None:
        def link(instance: Document, created: bool, **_: object) -> None:
            if created:
                instance.file = twins.acmes.file

        post_save.connect(link, sender=Document)
        try:
            with use_tenant(globex), pytest.raises(WrongTenantError):
                Document.objects.create(title="new")
        finally:
            post_save.disconnect(link, sender=Document)

    def test_is_guarded_where_its_class_was_made_late(self, two: Shelves) -> None:
        """``Label`` is no model of an installed app's: it was declared when the apps were ready."""
        with pytest.raises(WrongTenantError):
            assert two.acmes_label == two.globexs_label


class ADeletion:
    def test_of_all_rows_is_one_statement(self, acme: Tenant) -> None:
        with use_tenant(acme):
            Note.objects.create(text="of acme")
            with CaptureQueriesContext(connections[acme.alias]) as queries:
                Note.objects.all().delete()
        assert [query["sql"].split()[0] for query in queries] == ["BEGIN", "DELETE", "COMMIT"]

    def test_of_a_foreign_row_is_refused_where_using_names_the_database(self, twins: Twins, globex: Tenant) -> None:
        with use_tenant(globex):
            with pytest.raises(WrongTenantError):
                twins.acmes.delete(using=globex.alias)
            assert Document.objects.count() == 1


class AForm:
    class LabelForm(forms.ModelForm):
        class Meta:
            model = Label
            fields = ("name",)

    def test_does_not_validate_a_foreign_row(self, two: Shelves, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            self.LabelForm({"name": "blue"}, instance=two.acmes_label).is_valid()

    def test_does_not_take_a_foreign_row_for_a_choice(self, two: Shelves, globex: Tenant) -> None:
        with use_tenant(globex), pytest.raises(WrongTenantError):
            forms.ModelChoiceField(Label.objects.all()).clean(two.acmes_label)
        with use_tenant(globex), pytest.raises(WrongTenantError):
            forms.ModelMultipleChoiceField(Label.objects.all()).clean([two.acmes_label])

    def test_does_not_show_a_foreign_row_as_chosen(self, two: Shelves, globex: Tenant) -> None:
        class Choose(forms.Form):
            label = forms.ModelChoiceField(Label.objects.all())

        with use_tenant(globex), pytest.raises(WrongTenantError):
            Choose(initial={"label": two.acmes_label}).as_p()

    def test_does_not_offer_the_choices_of_another_tenant(self, two: Shelves, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            field: Any = forms.ModelChoiceField(Label.objects.all())
        with use_tenant(globex):
            with pytest.raises(WrongTenantError):
                list(field.choices)
            with pytest.raises(WrongTenantError):
                field.clean(two.globexs_label.pk)


class AForeignQueryset:
    @pytest.mark.parametrize(
        "use",
        [
            lambda theirs: list(Document.objects.annotate(x=Subquery(theirs.values("name")[:1]))),
            lambda theirs: list(Document.objects.filter(Exists(theirs.filter(pk=OuterRef("file"))))),
            lambda theirs: list(Document.objects.filter(Q(file__in=theirs.values("pk")))),
            lambda theirs: list(Document.objects.exclude(file__in=theirs.filter(name="x"))),
            lambda theirs: Document.objects.update(title=Subquery(theirs.values("name")[:1])),
            lambda theirs: list(File.objects.union(theirs)),
            lambda theirs: list(theirs.union(File.objects.all())),
            lambda theirs: list(File.objects.intersection(theirs)),
            lambda theirs: list(File.objects.difference(theirs)),
            lambda theirs: theirs.aggregate(x=F("pk")),
            lambda theirs: theirs.in_bulk(),
            lambda theirs: theirs.update(name=Value("x")),
            lambda theirs: theirs.delete(),
            lambda theirs: theirs.explain(),
            lambda theirs: theirs.values_list("pk")[0],
            lambda theirs: next(theirs.iterator()),
            lambda theirs: theirs.get_or_create(name="b.txt"),
            lambda theirs: theirs.create(name="b.txt"),
        ],
    )
    def test_reaches_no_other_tenant(
        self, twins: Twins, acme: Tenant, globex: Tenant, use: Callable[[Any], object]
    ) -> None:
        with use_tenant(acme):
            theirs = File.objects.order_by("pk")
        with use_tenant(globex), pytest.raises((WrongTenantError, TypeError)):
            use(theirs)

    def test_stays_foreign_when_it_is_pickled(self, twins: Twins, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            copied = pickle.loads(pickle.dumps(Document.objects.all()))
            query = pickle.loads(pickle.dumps(Document.objects.all().query))
        with use_tenant(globex):
            with pytest.raises(WrongTenantError):
                list(copied)
            documents = Document.objects.none()
            documents.query = query
            with pytest.raises(WrongTenantError):
                list(documents)

    def test_is_still_read_where_it_was_built(self, twins: Twins, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            copied = pickle.loads(pickle.dumps(Document.objects.all()))
            with use_tenant(globex):
                assert Document.objects.get().title == "of globex"
            assert [document.title for document in copied] == ["of acme"]


class RowsThatAreReadOneByOne:
    @pytest.fixture
    def three(self, acme: Tenant) -> None:
        with use_tenant(acme):
            Note.objects.bulk_create([Note(text=str(number)) for number in range(3)])

    @pytest.mark.parametrize(
        "rows",
        [
            lambda: iter(Note.objects.all()),
            lambda: Note.objects.iterator(chunk_size=1),
            lambda: Note.objects.iterator(),
            lambda: Note.objects.values_list("text").iterator(),
            lambda: iter(Note.objects.raw("SELECT * FROM notes_note")),
            lambda: Note.objects.raw("SELECT * FROM notes_note").iterator(),
        ],
        ids=["iter", "chunks of one", "one chunk", "values", "raw", "raw iterator"],
    )
    def test_are_not_gone_on_with_under_another(
        self, three: None, acme: Tenant, globex: Tenant, rows: Callable[[], Iterator[Model]]
    ) -> None:
        with use_tenant(acme):
            begun = rows()
            next(begun)
            with use_tenant(globex), pytest.raises(WrongTenantError):
                next(begun)

    def test_may_be_copied_to_another_while_they_are_read(self, three: None, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            for note in Note.objects.iterator(chunk_size=1):
                with use_tenant(globex):
                    Note.objects.create(text=note.text)
        with use_tenant(globex):
            assert Note.objects.count() == 3

    def test_of_main_may_be_read_under_any(self, acme: Tenant, globex: Tenant) -> None:
        tenants = Tenant.objects.order_by("slug").iterator(chunk_size=1)
        with use_tenant(next(tenants)):
            assert next(tenants) == globex


class ACursor:
    @pytest.mark.parametrize(
        "use",
        [
            lambda cursor: cursor.fetchone(),
            lambda cursor: cursor.fetchmany(size=2),
            lambda cursor: cursor.fetchall(),
            lambda cursor: next(iter(cursor)),
            lambda cursor: cursor.execute("SELECT 1"),
            lambda cursor: cursor.executemany("SELECT %s", [(1,)]),
            lambda cursor: cursor.callproc("now"),
            lambda cursor: cursor.copy_expert("COPY notes_note TO STDOUT", None),
            lambda cursor: cursor.mogrify("SELECT 1"),
        ],
        ids=["fetchone", "fetchmany", "fetchall", "iter", "execute", "executemany", "callproc", "copy", "other"],
    )
    @pytest.mark.parametrize("logged", [False, True], ids=["", "logged"])
    def test_speaks_for_its_own_tenant_only(
        self, acme: Tenant, globex: Tenant, use: Callable[[Any], object], logged: bool
    ) -> None:
        with use_tenant(acme):
            connections[acme.alias].force_debug_cursor = logged
            with connections[acme.alias].cursor() as cursor:
                cursor.execute("SELECT 'secret of acme' FROM generate_series(1, 3)")
                with use_tenant(globex), pytest.raises(WrongTenantError):
                    use(cursor)
                assert len(cursor.fetchall()) == 3

    def test_can_be_closed_under_any(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            cursor = connections[acme.alias].cursor()
            with use_tenant(globex):
                cursor.close()
            assert cursor.closed

    def test_does_not_outlive_its_scope(self, acme: Tenant, globex: Tenant) -> None:
        with use_tenant(acme):
            cursor = connections[acme.alias].cursor()
            cursor.execute("SELECT 'secret of acme'")
        with use_tenant(globex), pytest.raises(WrongTenantError):
            cursor.fetchone()


class UseMain:
    def test_reads_no_rows_of_the_tenant_around_it(self, twins: Twins, acme: Tenant) -> None:
        with use_tenant(acme):
            documents = Document.objects.all()
            with use_main(), pytest.raises(NoTenantError):
                list(documents)
