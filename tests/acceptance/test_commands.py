"""The commands as scripts meet them: exit codes, JSON keys, what stands on stdout and what on stderr."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from tenant_data.models import Document
from tenants.context import use_tenant
from tenants.lifecycle import suspend
from tenants.models import Rollout, RolloutAttempt, Server, Tenant
from tenants.rollout.process import os_user
from tests.support.fleet import Fleet, as_owner
from tests.support.migrations import ADD_COLOUR, RAISES_ON_A_BAD_NOTE, NotesMigrations, newest_of

OBJECT = ["rollout", "state", "target", "tenants", "seconds", "failures"]
COUNTS = ["total", "migrated", "up_to_date", "failed", "skipped", "pending"]
TENANT = ["id", "slug", "name", "alias", "server", "state", "head", "behind", "labels", "created_at"]


class MigrateTenants:
    def test_prints_one_json_object_on_stdout_and_progress_on_stderr(self, fleet: Fleet) -> None:
        fleet.make("first")
        done = fleet.manage("migrate_tenants", "--format", "json")
        found = json.loads(done.stdout)
        assert (list(found), list(found["tenants"])) == (OBJECT, COUNTS)
        assert (found["state"], found["target"], found["tenants"]["up_to_date"]) == ("nothing_to_do", "latest", 1)
        assert "1 tenant" in done.stderr

    def test_succeeds_on_an_empty_fleet(self, fleet: Fleet) -> None:
        found = fleet.migrate()
        assert (found["exit"], found["state"], found["tenants"]["total"]) == (0, "nothing_to_do", 0)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--tenant", "nobody"], "nobody"),
            (["--exclude", "nobody"], "nobody"),
            (["--server", "nowhere"], "nowhere"),
            (["--server", ""], "no server is named ''"),
            (["--label", "plan"], "KEY=VALUE"),
            (["--workers", "0"], "whole number"),
            (["--max-failures", "many"], "5%"),
            (["--lock-timeout", "2"], "2s"),
            (["--plan", "--sql"], "not allowed with"),
            (["--canary", "nobody"], "nobody"),
            (["--canary", "0"], "at least one"),
            (["--waves", "50%,20%"], "grow to 100%"),
            (["--waves", "5,100"], "5%"),
            (["accounts"], "not a tenant app"),
            (["notes", "0009"], "0001_initial"),
            (["--nonsense"], "unrecognized"),
        ],
    )
    def test_refuses_with_2_and_says_why(self, fleet: Fleet, arguments: list[str], says: str) -> None:
        done = fleet.call("migrate_tenants", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr

    def test_refuses_while_main_is_behind(self, fleet: Fleet) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions' RETURNING app, name, applied")
            row = cursor.fetchone()
        try:
            done = fleet.call("migrate_tenants")
            assert done.returncode == 2
            assert "sessions.0001_initial" in done.stderr
            assert "manage.py migrate" in done.stderr
        finally:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", row)

    def test_is_not_refused_because_of_migrations_that_only_tenants_have(
        self, fleet: Fleet, notes: NotesMigrations
    ) -> None:
        notes.add("0002_colour", ADD_COLOUR)
        assert fleet.migrate()["exit"] == 0

    def test_selects_by_label_server_and_exclusion(self, fleet: Fleet) -> None:
        fleet.make("first", "second", "third")
        Tenant.objects.filter(slug="second").update(labels={"plan": "pro"})
        assert fleet.migrate("--label", "plan=pro")["tenants"]["total"] == 1
        assert fleet.migrate("--exclude", "second", "--exclude", "third")["tenants"]["total"] == 1
        assert fleet.migrate("--server", Server.objects.get().name)["tenants"]["total"] == 3

    def test_skips_a_suspended_tenant(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        suspend(tenant)
        found = fleet.migrate()
        assert (found["exit"], found["tenants"]["skipped"]) == (0, 1)


class LookingAhead:
    @pytest.fixture
    def behind(self, fleet: Fleet, notes: NotesMigrations) -> Tenant:
        (tenant, _) = fleet.make("first", "second")
        notes.add("0002_colour", ADD_COLOUR)
        return tenant

    def test_check_exits_1_while_a_tenant_is_behind_and_0_after(self, fleet: Fleet, behind: Tenant) -> None:
        before = fleet.migrate("--check")
        assert (before["exit"], before["state"], before["tenants"]["pending"]) == (1, "planned", 2)
        fleet.migrate()
        after = fleet.migrate("--check")
        assert (after["exit"], after["state"]) == (0, "nothing_to_do")

    def test_plan_groups_tenants_and_exits_0(self, fleet: Fleet, behind: Tenant) -> None:
        done = fleet.call("migrate_tenants", "--plan")
        assert done.returncode == 0
        assert "2 tenants at notes.0001_initial" in done.stdout
        assert "1 migration, 1 operation" in done.stdout
        assert "Add field colour to note" in done.stdout

    def test_sql_prints_what_would_run(self, fleet: Fleet, behind: Tenant) -> None:
        done = fleet.call("migrate_tenants", "--sql")
        assert done.returncode == 0
        assert 'ALTER TABLE "notes_note" ADD COLUMN "colour"' in done.stdout
        assert "VALUES ('notes', '0002_colour', now())" in done.stdout

    def test_sql_does_what_a_rollout_does(self, fleet: Fleet, behind: Tenant) -> None:
        script = fleet.call("migrate_tenants", "--sql", "--tenant", "first").stdout
        as_owner(behind, script)
        assert fleet.migrate("--check", "--tenant", "first")["state"] == "nothing_to_do"

    def test_sql_runs_no_python_that_is_wrapped(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (tenant,) = fleet.make("first")
        writes = 'def forwards(apps, schema_editor):\n    apps.get_model("notes", "Note").objects.create(text="x")'
        notes.add("0002_x", "migrations.SeparateDatabaseAndState([migrations.RunPython(forwards)])", before=writes)
        done = fleet.call("migrate_tenants", "--sql")
        assert "CANNOT BE WRITTEN AS SQL" in done.stdout
        assert as_owner(tenant, "SELECT count(*) FROM notes_note") == [(0,)]

    def test_sql_goes_backwards_too(self, fleet: Fleet, behind: Tenant) -> None:
        fleet.migrate()
        done = fleet.call("migrate_tenants", "notes", "0001", "--sql")
        assert 'DROP COLUMN "colour"' in done.stdout
        assert "DELETE FROM django_migrations WHERE app = 'notes' AND name = '0002_colour'" in done.stdout

    @pytest.mark.parametrize("option", ["--plan", "--sql", "--check"])
    def test_changes_nothing(self, fleet: Fleet, behind: Tenant, option: str) -> None:
        fleet.call("migrate_tenants", option)
        assert as_owner(behind, "SELECT count(*) FROM django_migrations WHERE app = 'notes'") == [(1,)]
        assert as_owner(behind, "SELECT count(*) FROM information_schema.columns WHERE column_name = 'colour'") == [
            (0,)
        ]


class Tenants:
    def test_list_has_the_keys_of_the_contract(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        (found,) = [
            one
            for one in json.loads(fleet.manage("tenants", "list", "--format", "json").stdout)
            if one["slug"] == "first"
        ]
        assert list(found) == TENANT
        assert found["id"] == str(tenant.id)
        assert found["head"] == {"notes": "0001_initial", "tenant_data": newest_of("tenant_data")}
        assert found["behind"] is False

    def test_create_takes_owner_label_and_name(self, fleet: Fleet) -> None:
        from accounts.models import User

        User.objects.create_user(email="alice@example.com", password="x")
        done = fleet.call(
            "tenants", "create", "first", "--name", "First", "--owner", "alice@example.com", "--label", "plan=pro"
        )
        assert done.returncode == 0, done.stderr
        tenant = Tenant.objects.get(slug="first")
        assert (tenant.name, tenant.labels) == ("First", {"plan": "pro"})
        assert tenant.associations.get().user.email == "alice@example.com"

    @pytest.mark.parametrize(
        "arguments", [["create", "A B"], ["create", "x", "--owner", "nobody@example.com"], ["show", "nobody"], []]
    )
    def test_refuses_bad_arguments_with_2(self, fleet: Fleet, arguments: list[str]) -> None:
        assert fleet.call("tenants", *arguments).returncode == 2

    def test_create_refuses_a_slug_that_is_taken(self, fleet: Fleet) -> None:
        fleet.make("first")
        done = fleet.call("tenants", "create", "first")
        assert done.returncode == 2
        assert "Another tenant has this slug" in done.stderr

    def test_show_tells_what_the_database_says(self, fleet: Fleet) -> None:
        fleet.make("first")
        found = json.loads(fleet.call("tenants", "show", "first", "--format", "json").stdout)
        assert found["database"]["head"] == {"notes": "0001_initial", "tenant_data": newest_of("tenant_data")}

    def test_heads_counts_tenants_by_head(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first", "second", "third")
        notes.add("0002_colour", ADD_COLOUR)
        fleet.migrate("--tenant", "first")
        found = json.loads(fleet.call("tenants", "heads", "--format", "json").stdout)
        assert [(group["count"], group["head"]["notes"], group["behind"]) for group in found] == [
            (2, "0001_initial", True),
            (1, "0002_colour", False),
        ]

    def test_history_shows_a_tenants_part(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first")
        notes.add("0002_colour", ADD_COLOUR)
        fleet.migrate()
        found = json.loads(fleet.call("tenants", "history", "first", "--format", "json").stdout)
        assert found[0]["migrations"] == ["notes.0002_colour"]


class History:
    @pytest.fixture
    def failed(self, fleet: Fleet, notes: NotesMigrations) -> dict:
        """The first tenant was migrated, the second failed, the third was suspended."""
        _, second, third = fleet.make("first", "second", "third")
        as_owner(second, "INSERT INTO notes_note (text) VALUES ('bad')")
        suspend(third)
        raises = RAISES_ON_A_BAD_NOTE
        notes.add("0002_picky", ADD_COLOUR, "migrations.RunPython(forwards)", before=raises)
        return fleet.migrate_json("--on-error", "continue", SILO_CODE_VERSION="v1.2.3")

    def test_says_who_ran_which_code_for_how_long(self, fleet: Fleet, failed: dict) -> None:
        (found,) = json.loads(fleet.call("tenants", "history", "--format", "json").stdout)
        assert list(found) == [
            *("started_at", "rollout", "target", "state"),
            *("total", "migrated", "up_to_date", "failed", "skipped", "pending"),
            *("seconds", "by", "version"),
        ]
        assert (found["by"], found["version"], found["migrated"], found["failed"]) == (os_user(), "v1.2.3", 1, 1)
        assert found["seconds"] > 0
        assert f"{os_user()}  v1.2.3" in fleet.call("tenants", "history").stdout

    def test_shows_one_rollout_with_its_failures(self, fleet: Fleet, failed: dict) -> None:
        shown = fleet.call("tenants", "history", "--rollout", failed["rollout"][:8]).stdout
        assert "failed on second: notes.0002_picky: ValueError: a note is bad" in shown
        assert "skipped third: it is suspended" in shown
        assert "Traceback" not in shown
        asked = fleet.call("tenants", "history", "--rollout", failed["rollout"], "--traceback").stdout
        assert 'raise ValueError("a note is bad")' in asked

    def test_shows_one_rollout_to_scripts(self, fleet: Fleet, failed: dict) -> None:
        arguments = ("tenants", "history", "--rollout", failed["rollout"], "--format", "json")
        found = json.loads(fleet.call(*arguments).stdout)
        assert found["failures"] == failed["failures"]
        assert found["skipped"] == [{"tenant": "third", "reason": "it is suspended"}]
        assert found["options"]["on_error"] == "continue"
        (traced,) = json.loads(fleet.call(*arguments, "--traceback").stdout)["failures"]
        assert "a note is bad" in traced["traceback"]

    @pytest.mark.parametrize("arguments", [["--rollout", "nonsense"], ["first", "--rollout", "x"]])
    def test_refuses_with_2_what_there_is_not(self, fleet: Fleet, arguments: list[str]) -> None:
        assert fleet.call("tenants", "history", *arguments).returncode == 2

    def test_keeps_where_each_tenant_stood_before_and_after(self, fleet: Fleet, failed: dict) -> None:
        attempts = {attempt.tenant.slug: attempt for attempt in RolloutAttempt.objects.all() if attempt.tenant}
        assert attempts["first"].head_before["notes"] == "0001_initial"
        assert attempts["first"].head_after["notes"] == "0002_picky"
        assert (attempts["second"].head_before["notes"], attempts["second"].head_after) == ("0001_initial", {})

    def test_has_the_same_plan_hash_for_the_same_fleet_and_code(self, fleet: Fleet, notes: NotesMigrations) -> None:
        fleet.make("first", "second")
        notes.add("0002_colour", ADD_COLOUR)
        one = fleet.migrate()["rollout"]
        back = fleet.migrate("notes", "0001")["rollout"]
        again = fleet.migrate("--workers", "1")["rollout"]
        hashes = {str(rollout.pk): rollout.plan_hash for rollout in Rollout.objects.all()}
        assert hashes[one] == hashes[again] != hashes[back]


class TenantsRun:
    def test_runs_a_command_inside_each(self, fleet: Fleet) -> None:
        for tenant in fleet.make("first", "second"):
            with use_tenant(tenant):
                Document.objects.create(title=f"of {tenant.slug}", owner_id=tenant.id)
        done = fleet.manage("tenants", "run", "first", "second", "--", "dumpdata", "tenant_data.document")
        assert done.returncode == 0, done.stdout
        assert done.stdout.index("== first") < done.stdout.index("of first") < done.stdout.index("== second")
        assert "of second" in done.stdout

    def test_passes_options_after_the_dashes_on(self, fleet: Fleet) -> None:
        fleet.make("first")
        done = fleet.call("tenants", "run", "--all", "--", "dumpdata", "tenant_data", "--indent", "2")
        assert done.returncode == 0, done.stdout + done.stderr

    def test_exits_1_if_one_failed_and_goes_on(self, fleet: Fleet) -> None:
        first, _ = fleet.make("first", "second")
        as_owner(first, "DROP TABLE tenant_data_document CASCADE")
        done = fleet.manage("tenants", "run", "--all", "--", "dumpdata", "tenant_data.document")
        assert done.returncode == 1
        assert "failed in 1 of 2 tenants: first" in done.stdout

    @pytest.mark.parametrize("arguments", [["--", "check"], ["first"], ["--all", "--", "nonsense"]])
    def test_refuses_with_2_what_it_cannot_run(self, fleet: Fleet, arguments: list[str]) -> None:
        fleet.make("first")
        assert fleet.call("tenants", "run", *arguments).returncode == 2

    def test_works_through_call_command(self, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
        fleet.make("first")
        call_command("tenants", "run", "first", "--", "check")
        assert "== first" in capsys.readouterr().out


class DjangosCommandsOnOneTenant:
    def test_dumpdata_and_loaddata(self, fleet: Fleet, tmp_path: object) -> None:
        first, second = fleet.make("first", "second")
        with use_tenant(first):
            Document.objects.create(title="moved", owner_id=first.id)
        path = f"{tmp_path}/dump.json"
        assert fleet.manage("dumpdata", "tenant_data", f"--database={first.alias}", "-o", path).returncode == 0
        assert fleet.manage("loaddata", path, f"--database={second.alias}").returncode == 0
        with use_tenant(second):
            assert Document.objects.get().title == "moved"

    def test_dbshell_is_the_tenants_own_role(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        done = fleet.manage("dbshell", "--database", tenant.alias, "--", "-Atc", "SELECT current_user")
        assert done.stdout.strip() == tenant.alias

    def test_showmigrations(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        done = fleet.call("showmigrations", "tenant_data", f"--database={tenant.alias}")
        assert "[X] 0001_initial" in done.stdout

    def test_through_call_command(self, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
        (tenant,) = fleet.make("first")
        call_command("showmigrations", "tenant_data", f"--database={tenant.alias}")
        assert "[X] 0001_initial" in capsys.readouterr().out

    def test_refuse_an_alias_of_nobody(self, fleet: Fleet) -> None:
        done = fleet.call("showmigrations", f"--database=tenant_{'0' * 32}")
        assert done.returncode == 2
        assert "invalid choice" in done.stderr
