"""Rollouts cut off again and again, at random: the next run ends well, and its tenants cannot be told from those whose
rollouts were never disturbed. ``make kills`` does it 200 times over a fleet of 30.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Any

import pytest

from tenants.databases import clone
from tenants.databases.sessions import maintenance
from tenants.models import Installation, Rollout, Template, Tenant
from tests.acceptance.test_rollouts import schema_of
from tests.support.blows import Assailant, Blow
from tests.support.faults import counted_ddl
from tests.support.fleet import Fleet, as_owner, on_server
from tests.support.migrations import ADD_COLOUR, NotesMigrations

KILLS = int(os.environ.get("SILO_KILLS", "4"))
"""How many running rollouts are killed with SIGKILL; the other blows come on top."""

TENANTS = min(30, max(6, KILLS))
SEED = int(os.environ.get("SILO_KILLS_SEED", SystemRandom().randrange(2**32)))

TALLY = """
    migrations.CreateModel("Tally", [
        ("name", models.CharField(max_length=40, primary_key=True)), ("times", models.IntegerField(default=0))])
"""
# A kill that loses post_migrate leaves another number here than that of the applied migrations.
TELLS_AFTERWARDS = """
from django.db import connections
from django.db.models.signals import post_migrate

def tell(sender, using, **_):
    if sender.label == "notes":
        with connections[using].cursor() as cursor:
            cursor.execute(
                "INSERT INTO notes_tally SELECT 'migrations', count(*) FROM django_migrations WHERE app = 'notes' "
                "ON CONFLICT (name) DO UPDATE SET times = EXCLUDED.times")

post_migrate.connect(tell, weak=False, dispatch_uid="notes tally")
"""
# What is done counts one up and what is taken back one down, so that twice, or not at all, is seen at the next end.
COUNT = """
def count(apps, name, by):
    tally, _ = apps.get_model("notes", "Tally").objects.get_or_create(name=name)
    tally.times += by
    tally.save()
"""
COUNTS = f"""{COUNT}
def forwards(apps, schema_editor):
    count(apps, "python", 1)
    apps.get_model("notes", "Note").objects.create(text="made by a migration")

def backwards(apps, schema_editor):
    count(apps, "python", -1)
    apps.get_model("notes", "Note").objects.filter(text="made by a migration").last().delete()
"""
ADD = "INSERT INTO notes_tally VALUES ('sql', {0}) ON CONFLICT (name) DO UPDATE SET times = notes_tally.times + {0};"
SEVERAL_STATEMENTS = f"""
    migrations.RunSQL(
        "{ADD.format(1)} CREATE TABLE extra (a int); CREATE INDEX extra_a ON extra (a)",
        "DROP TABLE extra; {ADD.format(-1)}")
"""
FILLS = f"""{COUNT}
def forwards(apps, schema_editor):
    count(apps, "filled", 1)
    apps.get_model("notes", "Note").objects.update(colour="blue")

def backwards(apps, schema_editor):
    count(apps, "filled", -1)
"""
DATA = "migrations.RunPython(forwards, backwards)"
ALTER = 'migrations.AlterField("note", "colour", models.CharField(default="red", max_length=40, db_index=True))'
TAG = """
    migrations.CreateModel(
        "Tag",
        [("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(max_length=20)),
         ("note", models.ForeignKey("notes.note", models.CASCADE))],
        options={"constraints": [models.UniqueConstraint(fields=["note", "name"], name="tag_once")]})
"""
TAGS = f"""{COUNT}
def forwards(apps, schema_editor):
    count(apps, "tagged", 1)
    Tag = apps.get_model("notes", "Tag")
    Tag.objects.bulk_create(Tag(note=note, name="old") for note in apps.get_model("notes", "Note").objects.all())

def backwards(apps, schema_editor):
    count(apps, "tagged", -1)
    apps.get_model("notes", "Tag").objects.all().delete()
"""
CONCURRENTLY = 'AddIndexConcurrently("note", models.Index(fields=["text"], name="note_text"))'
ADD_RANK = 'migrations.AddField("note", "rank", models.IntegerField(default=0))'

WAYS: dict[bool, tuple[str, ...]] = {True: (), False: ("notes", "0002")}
"""What leads up (True), and down."""

STATE = """
    SELECT (SELECT json_object_agg(name, times) FROM notes_tally),
           (SELECT json_object_agg(text, times) FROM (SELECT text, count(*) AS times FROM notes_note GROUP BY 1) AS t),
           (SELECT json_agg(app || '.' || name ORDER BY app, name) FROM django_migrations),
           (SELECT json_agg(name ORDER BY name) FROM silo.facts),
           (SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready))
"""
"""Data, records, Silo's notes, and indexes that are not valid, which pg_dump does not tell."""


def write_migrations_of_all_kinds(notes: NotesMigrations) -> None:
    """``0002`` is where the fleet starts and comes back to; ``0009`` is the top."""
    notes.add("0002_tally", TALLY, before=TELLS_AFTERWARDS)
    notes.add("0003_colour", ADD_COLOUR)
    notes.add("0004_counted", DATA, before=COUNTS)
    notes.add("0005_sql", SEVERAL_STATEMENTS)
    notes.add("0006_filled", DATA, ALTER, before=FILLS)
    notes.add("0007_tag", TAG)
    notes.add("0008_concurrently", ADD_RANK, CONCURRENTLY, attributes="atomic = False")
    notes.add("0009_tagged", DATA, 'migrations.RemoveField("note", "rank")', before=TAGS)


@dataclass(frozen=True)
class Undisturbed:
    """A tenant never disturbed, and the rollout that brought it here: its ``ddl`` statements for it, and its time."""

    schema: str
    state: tuple[Any, ...]
    ddl: int
    run_s: float


@dataclass
class Trips:
    """The fleet on its trips up to the top and down again, and what its tenants must be at either end."""

    fleet: Fleet
    tenants: list[Tenant]
    templates: set[Template]
    """Those that were there before."""
    at_top: bool = False
    undisturbed: dict[bool, Undisturbed] = field(default_factory=dict)
    """At the top (True), and below."""

    def go(self, *, up: bool) -> None:
        """Run a rollout to its end, which is a good one, whatever was left by others."""
        found = self.fleet.migrate_json(*WAYS[up], "--noinput")
        assert (found["exit"], found["failures"]) == (0, []), json.dumps(found, indent=1)
        assert found["state"] in {"succeeded", "nothing_to_do"}, found
        self.at_top = up

    def go_undisturbed(self, *, up: bool) -> None:
        """Take the fleet, never disturbed so far, for the model of all that come to this end."""
        first, began = self.tenants[0], time.monotonic()
        with counted_ddl(first) as so_far:
            self.go(up=up)
            run_s, ddl = time.monotonic() - began, so_far()
        (state,) = as_owner(first, STATE)
        self.undisturbed[up] = Undisturbed(schema_of(first), state, ddl, run_s)

    def require_as_if_undisturbed(self) -> None:
        model = self.undisturbed[self.at_top]
        for tenant in self.tenants:
            assert as_owner(tenant, STATE) == [model.state], tenant.slug
        with ThreadPoolExecutor(4) as pool:
            schemas = dict(zip(self.tenants, pool.map(schema_of, self.tenants), strict=True))
        for tenant, schema in schemas.items():
            assert schema == model.schema, tenant.slug
        assert not Rollout.objects.filter(state=Rollout.State.RUNNING).exists()
        require_whole_templates_only()

    def forget_templates(self) -> None:
        """Drop the templates of earlier trips, so that the next rollout builds one."""
        for template in set(Template.objects.exclude(head_key=Installation.current().head_key)) - self.templates:
            with maintenance(template.server) as cursor:
                clone.drop(cursor, template.name)
            template.delete()


def require_whole_templates_only() -> None:
    """The fleet's template is there, each is ready, and the server holds no other of this installation's."""
    installation, templates = Installation.current(), Template.objects.all()
    assert {template.state for template in templates} == {Template.State.READY}
    assert installation.head_key in {template.head_key for template in templates}
    prefix = f"silo_template_{installation.id.hex[:8]}_"
    on_disk = on_server("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", prefix)
    assert {name for (name,) in on_disk} == {template.name for template in templates}


class ARolloutThatIsCutOffAnywhere:
    @pytest.fixture
    def trips(self, fleet: Fleet, notes: NotesMigrations) -> Trips:
        tenants = fleet.make(*(f"tenant-{number}" for number in range(TENANTS)))
        trips = Trips(fleet, tenants, set(Template.objects.all()))
        write_migrations_of_all_kinds(notes)
        assert fleet.migrate_json("notes", "0002")["exit"] == 0
        start = schema_of(tenants[0])
        for tenant in tenants:
            as_owner(tenant, "INSERT INTO notes_note (text) VALUES ('older')")
        trips.go_undisturbed(up=True)
        trips.go_undisturbed(up=False)
        assert trips.undisturbed[False].schema == start
        trips.require_as_if_undisturbed()
        return trips

    def test_is_finished_by_the_next_as_if_it_had_never_been(
        self, trips: Trips, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chance, blows = Random(SEED), list[Blow]()
        longest_s = max(undisturbed.run_s for undisturbed in trips.undisturbed.values())
        assailant = Assailant(trips.fleet, trips.tenants, chance, longest_s)
        for round_number in itertools.count(1):
            if chance.random() < 0.8:
                trips.forget_templates()
            this_round = list[Blow]()
            try:
                up = not trips.at_top
                for number in range(chance.choices([1, 2, 3], [75, 17, 8])[0]):
                    ddl = 0 if number else trips.undisturbed[up].ddl
                    this_round.append(assailant.strike(*WAYS[up], ddl=ddl))
                # Now and then whoever comes next turns round.
                trips.go(up=up if chance.random() < 0.85 else not up)
                trips.require_as_if_undisturbed()
            except AssertionError as error:
                told = "\n".join(map(str, this_round))
                raise AssertionError(f"SILO_KILLS_SEED={SEED}, round {round_number}:\n{told}\n{error}") from error
            blows += this_round
            if sum(blow.killed for blow in blows) >= KILLS:
                break
        struck = Counter(f"{blow.kind}, exit {blow.returncode}" for blow in blows if blow.struck)
        with capsys.disabled():
            figures = "\n".join(f"{times:4} {kind}" for kind, times in sorted(struck.items()))
            os.write(1, f"\n{round_number} rounds over {TENANTS} tenants; struck:\n{figures}\n".encode())
