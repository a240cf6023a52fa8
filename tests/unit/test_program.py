"""A program is shared by threads, so nothing that runs may change its states."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db.migrations.operations import AddField, RunPython

from tenants.databases.bookkeeping import Facts
from tenants.errors import RolloutRefusedError
from tenants.rollout.program import PreparedOperation, Programs, prepare
from tenants.rollout.target import Latest, Relative
from tests.support.migrations import ADD_COLOUR, NotesMigrations, notes_migrations_in

ONE_TIME = 'migrations.AddField("note", "once", models.TextField(default="x"), preserve_default=False)'
NOTHING = "def forwards(apps, schema_editor): pass"


@pytest.fixture
def migrations(tmp_path: Path) -> Iterator[NotesMigrations]:
    with notes_migrations_in(tmp_path) as written:
        yield written


def prepared() -> list[PreparedOperation]:
    program = prepare((), Latest("notes"))
    return [operation for migration in program.migrations for operation in migration.operations]


class AProgram:
    def test_gives_code_a_state_that_it_will_not_render_again(self, migrations: NotesMigrations) -> None:
        migrations.add("0002_colour", ADD_COLOUR)
        migrations.add("0003_code", "migrations.RunPython(forwards)", before=NOTHING)
        operations = prepared()
        (code,) = [one for one in operations if isinstance(one.operation, RunPython)]
        models = code.before.apps
        code.before.clear_delayed_apps_cache()  # what RunPython does with the state it is given
        assert code.before.apps is models
        assert all(one.after is not code.before for one in operations)

    def test_gives_a_default_for_one_time_to_a_state_of_its_operations_own(self, migrations: NotesMigrations) -> None:
        migrations.add("0002_once", ONE_TIME)
        (one_time,) = [one for one in prepared() if isinstance(one.operation, AddField)]
        assert getattr(one_time.operation, "preserve_default", False)
        assert one_time.after.models["notes", "note"].fields["once"].default == "x"


class AGroupThatHasNoProgram:
    def test_has_the_same_traceback_for_each_of_its_tenants(self, migrations: NotesMigrations) -> None:
        """One that grew by each tenant filled main with megabytes a tenant."""
        programs = Programs(Relative("notes", 9))
        lengths = set()
        for _ in range(3):
            with pytest.raises(RolloutRefusedError) as refused:
                programs.for_database(Facts((), {}))
            lengths.add(len(traceback.extract_tb(refused.value.__traceback__)))
        assert len(lengths) == 1
