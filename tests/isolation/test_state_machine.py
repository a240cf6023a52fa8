"""Case 25: whatever code does with tenants, in whatever order, it sees no row of another, or gets a ``TenantError``.

A machine takes steps at random on real databases, and remembers which row is whose. ``make machine`` takes 1,000 steps.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import itertools
import logging
import os
import pickle
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import wraps
from random import SystemRandom
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tenant_data.models import Document, File
from tenants.context import current_alias, tenant_atomic, use_main, use_tenant
from tenants.databases.sessions import maintenance
from tenants.errors import NoTenantError, TenantError, UnknownTenantError, WrongTenantError
from tenants.lifecycle import create_tenant, resume, suspend
from tenants.models import Tenant
from tenants.routing.pool import process_pool
from tenants.routing.registry import directory
from tests.apps.notes.models import Note
from tests.support.fleet import Fleet, drop_tenant, own_server
from tests.support.pools import sessions_of
from tests.support.waiting import wait_until

logger = logging.getLogger(__name__)

STEPS = int(os.environ.get("SILO_MACHINE_STEPS", "32"))
STEPS_OF_ONE = 16
"""Then a new machine starts, with new tenants, and other rules than the one before: Hypothesis leaves some out."""

SEED = int(os.environ.get("SILO_MACHINE_SEED", SystemRandom().randrange(2**32) if STEPS > 32 else 2))

CAP, CAP_OF_ONE = 4, 3
MOST_TENANTS = 4
DEEPEST = 2
"""Scopes around the code that runs, each of which may hold a connection; what it starts needs two more."""

SETTINGS = settings(
    max_examples=min(25, 1 + STEPS // STEPS_OF_ONE),  # the first is always the simplest there is
    stateful_step_count=STEPS_OF_ONE + 4,  # Hypothesis counts the four by which each begins
    deadline=None,
    database=None,
    phases=[Phase.generate],  # to look for a shorter failure would take minutes, with databases in each step
    suppress_health_check=list(HealthCheck),
)

taken: Counter[str] = Counter()
refused: Counter[str] = Counter()


@dataclass(eq=False)
class Known:
    """A tenant, and what must be in it."""

    tenant: Tenant
    is_active: bool = True
    is_there: bool = True
    notes: dict[int, str] = field(default_factory=dict)
    documents: dict[UUID, UUID | None] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def alias(self) -> str:
        return self.tenant.alias

    def words(self) -> str:
        """A text that tells whose it is."""
        return f"of {self.alias}, {next(self._numbers)}"


@dataclass(eq=False)
class Held:
    """What some code keeps in a variable."""

    thing: Any
    owner: Any
    """The ``Known`` whose it is; None of a queryset that was built with no tenant current."""
    filled_under: Any = None
    """The ``Known`` whose rows a queryset has fetched."""


@dataclass(frozen=True)
class Scope:
    known: Any
    """The ``Known`` that it is of; None of ``use_main``."""
    leave: Callable[[], object]
    generator: Any = None
    """That stands inside its own scope."""


def step(**arguments: Any) -> Callable[[Callable[..., Any]], Any]:
    """A rule whose steps are counted."""

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def counted(self: Machine, **given: Any) -> Any:
            taken[function.__name__] += 1
            return function(self, **given)

        return rule(**arguments)(counted)

    return decorate


def texts_of(slug: str) -> Generator[str, None, None]:
    """Stands inside its tenant from one text to the next."""
    with use_tenant(slug):
        yield "begun"
        for note in Note.objects.iterator(chunk_size=1):
            yield note.text


def notes_of(rows: Any) -> dict[int, str]:
    return {note.pk: note.text for note in rows}


def is_known(slug: str) -> bool:
    try:
        directory.find(slug)
    except UnknownTenantError:
        return False
    return True


BUILT: dict[str, Callable[[], Any]] = {
    "all": lambda: Note.objects.all(),
    "filter": lambda: Note.objects.filter(text__startswith="of tenant_"),
    "exclude": lambda: Note.objects.exclude(pk=0),
}
"""Querysets of all notes."""

READS_WHAT_IT_HOLDS: dict[str, Callable[[Any], Any]] = {
    "list": list,
    "len": lambda rows: rows[: len(rows)],
    "first": lambda rows: [rows.first()] if rows.first() else [],
    "index": lambda rows: [rows[0]] if rows.count() else [],
}
ASKS_AGAIN: dict[str, Callable[[Any], Any]] = {
    "all": lambda rows: rows.all(),
    "filter": lambda rows: rows.filter(pk__gt=0).exclude(text=""),
    "iterator": lambda rows: rows.iterator(),
    "in a query": lambda rows: Note.objects.filter(pk__in=rows.values("pk")),
}


class Machine(RuleBasedStateMachine):
    notes = Bundle("notes")
    files = Bundle("files")
    documents = Bundle("documents")
    querysets = Bundle("querysets")
    files_asked_for = Bundle("files_asked_for")

    def __init__(self) -> None:
        super().__init__()
        self.tenants: list[Known] = []
        self.scopes: list[Scope] = []
        self.open = ExitStack()
        self.watch = self.open.enter_context(maintenance(own_server()))

        for _ in range(2):
            self.make_tenant()
        self.enter_scope(self.tenants[0], use_tenant(self.tenants[0].tenant))

    # Each machine begins with two tenants, in one of them, and with something held of each

    @initialize(target=notes)
    def begin_notes(self) -> Any:
        return self.in_each(self.new_note)

    @initialize(target=files)
    def begin_files(self) -> Any:
        return self.in_each(self.new_file)

    @initialize(target=documents)
    def begin_documents(self) -> Any:
        return self.in_each(self.new_document)

    @initialize(target=querysets)
    def begin_querysets(self) -> Any:
        return self.in_each(lambda: Held(Note.objects.all(), self.here))

    # What is so after each step

    @invariant()
    def the_innermost_scope_is_current(self) -> None:
        assert current_alias() == (self.here.alias if self.here else None)

    @invariant()
    def connections_are_within_the_cap(self) -> None:
        numbers = process_pool().numbers()
        assert numbers["in_use"] + numbers["idle"] <= CAP
        assert sessions_of(*(known.tenant for known in self.tenants), cursor=self.watch) <= CAP

    # Tenants come and go

    @precondition(lambda self: len(self.those(is_there=True)) < MOST_TENANTS)
    @step()
    def create(self) -> None:
        self.make_tenant()

    @precondition(lambda self: self.those(is_active=True, is_around=False))
    @step(data=st.data())
    def suspend(self, data: st.DataObject) -> None:
        known = self.pick(data, is_active=True, is_around=False)
        suspend(known.tenant)
        known.is_active = False

    @precondition(lambda self: self.those(is_active=False, is_there=True))
    @step(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        known = self.pick(data, is_active=False, is_there=True)
        resume(known.tenant)
        known.is_active = True

    @precondition(lambda self: self.those(is_there=True))
    @step(data=st.data())
    def rename(self, data: st.DataObject) -> None:
        known = self.pick(data, is_there=True)
        before, known.tenant.slug = known.tenant.slug, self.new_slug()
        known.tenant.save()
        # Where the process remembers look-ups, the slug it had is known until main's word of the change has arrived.
        wait_until(lambda: not is_known(before))

    @precondition(lambda self: len(self.those(is_there=True, is_around=False)) > 1)
    @step(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.drop_tenant(self.pick(data, is_there=True, is_around=False))

    # One becomes current, and then another

    @precondition(lambda self: len(self.scopes) < DEEPEST)
    @step(data=st.data(), by_slug=st.booleans())
    def enter(self, data: st.DataObject, by_slug: bool) -> None:
        known = data.draw(st.sampled_from([*self.tenants, None]))
        if known is None:
            self.enter_scope(None, use_main())
            return
        scope = use_tenant(known.tenant.slug if by_slug or not known.is_there else known.tenant)
        self.may(known.is_active, lambda: self.enter_scope(known, scope))

    @precondition(lambda self: len(self.scopes) < DEEPEST)
    @step(data=st.data())
    def begin_generator(self, data: st.DataObject) -> None:
        known = self.pick(data)
        generator = texts_of(known.tenant.slug)
        if self.may(known.is_active, lambda: next(generator)):
            self.scopes.append(Scope(known, generator.close, generator))

    @precondition(lambda self: self.scopes and self.scopes[-1].generator)
    @step()
    def go_on_with_generator(self) -> None:
        scope = self.scopes[-1]
        text = next(scope.generator, None)
        if text is None:
            self.scopes.pop()
        else:
            self.saw(scope.known, text)

    @precondition(lambda self: self.scopes)
    @step()
    def leave(self) -> None:
        self.scopes.pop().leave()

    # Rows

    @step(target=notes)
    def write(self) -> Any:
        return self.new_note() if self.may(self.here, Note.objects.count) else multiple()

    @step(target=notes, held=notes, using=st.booleans())
    def save(self, held: Held, using: bool) -> Any:
        note = copy.copy(held.thing)
        note.text = held.owner.words()
        if self.may(self.is_of_here(held), lambda: note.save(using=self.here.alias if using and self.here else None)):
            self.here.notes[note.pk] = note.text
        return Held(pickle.loads(pickle.dumps(note)), held.owner)

    @step(held=notes)
    def delete(self, held: Held) -> None:
        if self.may(self.is_of_here(held), copy.copy(held.thing).delete):
            self.here.notes.pop(held.thing.pk, None)

    @step(held=notes)
    def refresh(self, held: Held) -> None:
        if self.is_of_here(held) and held.thing.pk not in self.here.notes:
            with pytest.raises(Note.DoesNotExist):
                held.thing.refresh_from_db()
        elif self.may(self.is_of_here(held), held.thing.refresh_from_db):
            assert held.thing.text == self.here.notes[held.thing.pk]

    @step(one=notes, other=notes)
    def compare(self, one: Held, other: Held) -> None:
        if self.may(one.owner is other.owner, lambda: one.thing == other.thing):
            assert (one.thing == other.thing) == (one.thing.pk == other.thing.pk)

    @step(held=notes)
    def bulk_create(self, held: Held) -> None:
        owner = self.here or held.owner
        rows = [Note(text=owner.words()), Note(text=owner.words())]
        others = [] if self.is_of_here(held) else [held.thing]
        if self.may(not others, lambda: Note.objects.bulk_create(rows + others)):
            self.here.notes |= notes_of(rows)

    @step(one=notes, other=notes)
    def bulk_update(self, one: Held, other: Held) -> None:
        is_one_row = one.owner is other.owner and one.thing.pk == other.thing.pk
        rows = [copy.copy(held.thing) for held in ([one] if is_one_row else [one, other])]
        for row in rows:
            row.text = one.owner.words()
        if self.may(self.is_of_here(one, other), lambda: Note.objects.bulk_update(rows, ["text"])):
            self.here.notes |= {pk: text for pk, text in notes_of(rows).items() if pk in self.here.notes}

    # Rows that are related

    @step(target=files)
    def write_file(self) -> Any:
        return self.new_file() if self.may(self.here, File.objects.exists) else multiple()

    @step(target=documents)
    def write_document(self) -> Any:
        def begin() -> None:
            with tenant_atomic():
                pass

        return self.new_document() if self.may(self.here, begin) else multiple()

    @step(held=documents, file=files)
    def relate(self, held: Held, file: Held) -> None:
        document = copy.copy(held.thing)

        def relate() -> None:
            document.file = file.thing
            document.save()

        if self.may(self.is_of_here(held, file), relate):
            self.here.documents[document.pk] = file.thing.pk

    @step(file=files)
    def follow(self, file: Held) -> None:
        def related() -> set[UUID]:
            return {document.pk for document in file.thing.documents.select_related("file")}

        if self.may(self.is_of_here(file), related):
            mine = {pk for pk, file_pk in self.here.documents.items() if file_pk == file.thing.pk}
            assert related() == mine == {row.pk for row in Document.objects.filter(file=file.thing)}
            (fetched,) = File.objects.filter(pk=file.thing.pk).prefetch_related("documents")
            assert {document.pk for document in fetched.documents.all()} == mine

    # Querysets

    @step(target=querysets, how=st.sampled_from(sorted(BUILT)))
    def build(self, how: str) -> Held:
        return Held(BUILT[how](), self.here)

    @step(target=files_asked_for)
    def ask_for_files(self) -> Held:
        return Held(File.objects.filter(size=1), self.here)

    @step(held=querysets, how=st.sampled_from(sorted(READS_WHAT_IT_HOLDS)))
    def read(self, held: Held, how: str) -> None:
        def read() -> None:
            self.saw(self.here, *(note.text for note in READS_WHAT_IT_HOLDS[how](held.thing)))

        if self.may(self.is_of_here(held) and held.filled_under in {None, self.here}, read) and how in {"list", "len"}:
            held.filled_under = self.here

    @step(held=querysets, how=st.sampled_from(sorted(ASKS_AGAIN)))
    def ask_again(self, held: Held, how: str) -> None:
        def ask() -> None:
            found = notes_of(ASKS_AGAIN[how](held.thing))
            assert found == self.here.notes

        self.may(self.is_of_here(held), ask)

    @step(one=querysets, other=querysets)
    def combine(self, one: Held, other: Held) -> None:
        def combined() -> None:
            assert notes_of(one.thing | other.thing) == self.here.notes

        self.may(self.is_of_here(one, other), combined)

    @step(held=files_asked_for)
    def nest(self, held: Held) -> None:
        def nested() -> None:
            found = {document.pk for document in Document.objects.filter(file__in=held.thing)}
            assert found == {pk for pk, file_pk in self.here.documents.items() if file_pk}

        self.may(self.is_of_here(held), nested)

    # At the same time

    @step(data=st.data(), held=querysets)
    def threads(self, data: st.DataObject, held: Held) -> None:
        """Each begins with no tenant, reads its own, and cannot evaluate what was built for another."""
        knowns = [self.pick(data) for _ in range(3)]

        def work(known: Known) -> tuple[dict[int, str], int]:
            try:
                with pytest.raises(NoTenantError):
                    Note.objects.count()
                with use_tenant(known.tenant.slug):
                    mine = notes_of(Note.objects.all())
                    if held.owner in {None, known}:
                        assert notes_of(held.thing.all()) == mine
                    else:
                        with pytest.raises(WrongTenantError):
                            list(held.thing.all())
                    return mine, sessions_of(*aliases, cursor=connections[known.alias].cursor())
            finally:
                connections.close_all()

        aliases = [known.tenant for known in self.tenants]
        with ThreadPoolExecutor(len(knowns)) as pool:
            for known, done in [(known, pool.submit(work, known)) for known in knowns]:
                if self.may(known.is_active, done.result):
                    mine, sessions = done.result()
                    assert mine == known.notes
                    assert sessions <= CAP

    @step(data=st.data())
    def tasks(self, data: st.DataObject) -> None:
        """Two that take turns, each in its own tenant."""
        knowns = [self.pick(data), self.pick(data)]
        active = [known for known in knowns if known.is_active]

        async def work(known: Known, others_are_in: asyncio.Barrier) -> dict[int, str]:
            async with use_tenant(known.tenant.slug):
                await others_are_in.wait()
                found = {note.pk: note.text async for note in Note.objects.all()}
                assert await Note.objects.acount() == len(found)
                return found

        async def both() -> list[Any]:
            barrier = asyncio.Barrier(max(len(active), 1))
            return await asyncio.gather(*(work(known, barrier) for known in knowns), return_exceptions=True)

        for known, found in zip(knowns, contextvars.Context().run(asyncio.run, both()), strict=True):
            if known.is_active:
                assert found == known.notes
            else:
                assert isinstance(found, TenantError)

    @precondition(lambda self: len(self.those(is_active=True)) > 1)
    @step(data=st.data())
    def mix_generators(self, data: st.DataObject) -> None:
        """Scopes that are left in another order than they were entered leave nothing current."""
        one, other = self.pick(data, is_active=True), self.pick(data, is_active=True)
        if one is not other:
            contextvars.copy_context().run(self.mixed, one, other)

    # What the steps are made of

    @property
    def here(self) -> Any:
        """The ``Known`` whose tenant is current, or None."""
        return self.scopes[-1].known if self.scopes else None

    def those(self, *, is_around: bool | None = None, **are: bool) -> list[Known]:
        """Tenants that are so. ``is_around``: a scope of theirs was entered and not yet left."""
        around = {scope.known for scope in self.scopes}
        return [
            known
            for known in self.tenants
            if all(getattr(known, name) == value for name, value in are.items())
            and is_around in {None, known in around}
        ]

    def pick(self, data: st.DataObject, **are: Any) -> Known:
        return data.draw(st.sampled_from(self.those(**are)))

    def is_of_here(self, *held: Held) -> bool:
        return self.here is not None and all(one.owner in {None, self.here} for one in held)

    def may(self, allowed: object, do: Callable[[], object]) -> bool:
        """Do it; what is not allowed must raise. Whether it was allowed."""
        if allowed:
            do()
        else:
            with pytest.raises(TenantError) as caught:
                do()
            refused[type(caught.value).__name__] += 1
        return bool(allowed)

    def saw(self, known: Known, *texts: str) -> None:
        assert all(text.startswith(f"of {known.alias},") for text in texts), f"a foreign row in {known.alias}: {texts}"

    def new_slug(self) -> str:
        return f"machine-{next(slug_numbers)}"

    def make_tenant(self) -> None:
        self.tenants.append(Known(create_tenant(slug=self.new_slug(), server=own_server())))

    def drop_tenant(self, known: Known) -> None:
        known.is_active = known.is_there = False
        drop_tenant(copy.copy(known.tenant))
        directory.forget(known.tenant)

    def enter_scope(self, known: Known | None, scope: AbstractContextManager[object]) -> None:
        scope.__enter__()
        self.scopes.append(Scope(known, lambda: scope.__exit__(None, None, None)))

    def in_each(self, make: Callable[[], Held]) -> Any:
        """What is made with each tenant current in turn."""
        made = []
        for known in self.tenants:
            self.enter_scope(known, use_tenant(known.tenant))
            made.append(make())
            self.scopes.pop().leave()
        return multiple(*made)

    def new_note(self) -> Held:
        note = Note.objects.create(text=self.here.words())
        self.here.notes[note.pk] = note.text
        return Held(note, self.here)

    def new_file(self) -> Held:
        return Held(File.objects.create(name=self.here.words(), size=1), self.here)

    def new_document(self) -> Held:
        with tenant_atomic():
            document = Document.objects.create(title=self.here.words())
        self.here.documents[document.pk] = None
        return Held(document, self.here)

    def mixed(self, one: Known, other: Known) -> None:
        first, second = texts_of(one.tenant.slug), texts_of(other.tenant.slug)
        next(first), next(second)
        for generator in (first, second):
            with pytest.raises(WrongTenantError):
                generator.close()
            with pytest.raises(NoTenantError):
                Note.objects.count()

    def teardown(self) -> None:
        try:
            while self.scopes:
                self.scopes.pop().leave()
            for known in self.those(is_there=True):
                if not known.is_active:
                    resume(known.tenant)
                with use_tenant(known.tenant):
                    assert notes_of(Note.objects.all()) == known.notes
                    assert dict(Document.objects.values_list("pk", "file")) == known.documents
        finally:
            for known in self.those(is_there=True):
                self.drop_tenant(known)
            self.open.close()


slug_numbers = itertools.count()


@pytest.fixture
def _small_pool(settings: Any) -> Iterator[None]:
    settings.TENANT_POOL_SIZE, settings.TENANT_POOL_PER_TENANT = CAP, CAP_OF_ONE
    process_pool.cache_clear()
    yield
    process_pool.cache_clear()


@pytest.mark.usefixtures("_small_pool")
class WhateverIsDoneInWhateverOrder:
    def test_shows_nobody_a_foreign_row(self, fleet: Fleet) -> None:
        taken.clear()
        logger.info("SILO_MACHINE_SEED=%s", SEED)
        for number in itertools.count(SEED):
            if taken.total() >= STEPS:
                break
            run_state_machine_as_test(seed(number)(Machine), settings=SETTINGS)
        logger.info("%s steps: %s; refused: %s", taken.total(), dict(taken), dict(refused))
