"""Migrations written for one test: real files, in a package that the test's processes can import too."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from django.apps import apps
from django.conf import settings
from django.test import override_settings

from tenants.rollout import disk
from tests.apps.notes import migrations as notes_migrations

FILE = """\
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

{before}

class Migration(migrations.Migration):
    dependencies = [{dependency}]
    {attributes}
    operations = [
{operations}
    ]
"""


class NotesMigrations:
    """The migrations of the app ``notes``, in a folder of the test's."""

    def __init__(self, folder: Path) -> None:
        self.package = f"notes_migrations_{uuid4().hex}"
        self.folder = folder / self.package
        source = Path(notes_migrations.__file__).parent
        shutil.copytree(source, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self._last = "0001_initial"

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to see them."""
        return {"SILO_TEST_MIGRATIONS": self.package, "PYTHONPATH": str(self.folder.parent)}

    def add(self, name: str, *operations: str, before: str = "", attributes: str = "") -> None:
        """Write the next one: ``operations`` are lines of Python, ``before`` is what stands above the class."""
        lines = textwrap.indent(",\n".join(textwrap.dedent(one).strip() for one in operations) + ",", " " * 8)
        (self.folder / f"{name}.py").write_text(
            FILE.format(
                before=textwrap.dedent(before),
                dependency=f'("notes", "{self._last}")' if self._last else "",
                attributes=attributes,
                operations=lines if operations else "",
            )
        )
        self._last = name
        disk.forget()

    def squash(self, name: str, *operations: str, attributes: str, after: str = "") -> None:
        """Write one that replaces those before it, and depends on ``after``."""
        self._last = after
        self.add(name, *operations, attributes=attributes)


@contextmanager
def notes_migrations_in(folder: Path) -> Iterator[NotesMigrations]:
    """Have this process, and with ``environment`` its children, use the migrations of a new folder."""
    written = NotesMigrations(folder)
    sys.path.insert(0, str(folder))
    try:
        with override_settings(MIGRATION_MODULES={**settings.MIGRATION_MODULES, "notes": written.package}):
            yield written
    finally:
        sys.path.remove(str(folder))


ADD_COLOUR = 'migrations.AddField("note", "colour", models.CharField(default="red", max_length=20))'
ADD_INDEXED = 'migrations.AddField("note", "rank", models.IntegerField(default=0, db_index=True))'
RAISES_ON_A_BAD_NOTE = """
def forwards(apps, schema_editor):
    if apps.get_model("notes", "Note").objects.filter(text="bad").exists():
        raise ValueError("a note is bad")
"""


def newest_of(app: str) -> str:
    """The name of the last migration that an app's own folder holds."""
    folder = Path(apps.get_app_config(app).path) / "migrations"
    return max(path.stem for path in folder.glob("[0-9]*.py"))
