"""Making tenant databases: whole, alone, and after a kill at each step. Case numbers are those of the design's list."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg2
import pytest
from django.conf import settings
from django.db import DatabaseError, connections

from accounts.models import User
from platform_site.embedded.server import log_file
from tenant_data.models import Document
from tenants import lifecycle
from tenants.context import use_tenant
from tenants.databases import bookkeeping, provision
from tenants.databases.sessions import poll
from tenants.errors import (
    DatabaseMissingError,
    InvalidTenantError,
    ProvisioningError,
    TenantBusyError,
    TenantExistsError,
    TenantUnavailableError,
    TransitionError,
)
from tenants.lifecycle import create_tenant, resume, suspend
from tenants.models import Installation, Server, Template, Tenant
from tenants.rollout.drift import find_drift
from tenants.rollout.request import Request
from tenants.rollout.runner import run_rollout
from tenants.rollout.target import latest
from tenants.rollout.templates import BUILD_LOCK
from tenants.rollout.watcher import Silent
from tests.acceptance.test_rollouts import (
    CREATE_SQUASHED,
    SQUASHES,
    applied_to,
)
from tests.support.fleet import Fleet, as_owner, as_superuser, on_server
from tests.support.migrations import ADD_COLOUR, RAISES_ON_A_BAD_NOTE, NotesMigrations, newest_of

STEPS = [step.__name__ for step in provision.STEPS]


def session(tenant: Tenant, **changes: str) -> psycopg2.extensions.connection:
    """Connect as the tenant's own role."""
    own = connections.settings[tenant.alias]
    address = {key: own[key.upper()] for key in ("host", "port", "user", "password")}
    return psycopg2.connect(**{"dbname": tenant.alias, **address, **changes})


class ANewTenant:
    def test_is_ready_when_it_was_made(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        assert tenant.state == Tenant.State.ACTIVE
        assert tenant.head == {"notes": "0001_initial", "tenant_data": newest_of("tenant_data")}
        with use_tenant(tenant):
            assert Document.objects.count() == 0

    def test_has_a_database_and_a_role_of_the_name_of_its_alias(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        assert tenant.alias == f"tenant_{tenant.id.hex}"
        assert on_server("SELECT 1 FROM pg_database WHERE datname = %s", tenant.alias)
        assert on_server("SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = %s", tenant.alias) == [
            (True, False)
        ]

    def test_carries_its_id(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        assert as_owner(tenant, "SELECT value FROM silo.facts WHERE name = 'tenant'") == [(str(tenant.id),)]

    def test_has_no_rows_but_those_of_its_migrations(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        tables = as_owner(tenant, "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'")
        counts = {name: as_owner(tenant, f'SELECT count(*) FROM "{name}"')[0][0] for (name,) in tables}
        assert {name for name, count in counts.items() if count} == {"django_migrations"}

    def test_is_harmless_to_make_again(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        with use_tenant(tenant):
            Document.objects.create(title="kept", owner_id=tenant.id)
        tenant.create_database()
        with use_tenant(tenant):
            assert Document.objects.get().title == "kept"

    def test_may_be_made_as_a_row_first(self, fleet: Fleet) -> None:
        tenant = Tenant.objects.create(slug="first", name="First")
        tenant.create_database()
        with use_tenant("first"):
            assert Document.objects.create(title="x").owner_id is None

    def test_has_its_owner(self, fleet: Fleet) -> None:
        alice = User.objects.create_user(email="alice@example.com", password="x")
        tenant = create_tenant(slug="first", owner=alice)
        assert [(one.user, one.role) for one in tenant.associations.all()] == [(alice, "owner")]


class RowsThatDifferPerTenant:
    SECRET = """
        from uuid import uuid4

        def forwards(apps, schema_editor):
            Note = apps.get_model("notes", "Note")
            Note.objects.update_or_create(id=1, defaults={"text": str(uuid4())})
    """

    def test_are_made_once_however_often_the_step_is_begun(
        self, fleet: Fleet, notes: NotesMigrations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        adds = 'def forwards(apps, schema_editor):\n    apps.get_model("notes", "Note").objects.create(text="x")'
        attributes = "run_again_after_clone = True"
        notes.add("0002_row", "migrations.RunPython(forwards)", before=adds, attributes=attributes)
        run_rollout(Request(latest()))
        with monkeypatch.context() as cut_off:
            cut_off.setattr(bookkeeping, "stamp_identity", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                fleet.make("first")
        tenant = Tenant.objects.get(slug="first")
        tenant.create_database()
        assert as_owner(tenant, "SELECT count(*) FROM notes_note") == [(2,)]  # the template's, and its own

    @pytest.mark.parametrize(("attributes", "different"), [("run_again_after_clone = True", 2), ("", 1)])
    def test_are_made_anew_in_each_clone_where_their_migration_says_so(
        self, fleet: Fleet, notes: NotesMigrations, attributes: str, different: int
    ) -> None:
        notes.add("0002_secret", "migrations.RunPython(forwards)", before=self.SECRET, attributes=attributes)
        run_rollout(Request(latest()))
        secrets = {as_owner(tenant, "SELECT text FROM notes_note")[0] for tenant in fleet.make("first", "second")}
        assert len(secrets) == different


class ASlug:
    """Case 27: refused by validation; the names in PostgreSQL come from the id."""

    @pytest.mark.parametrize(
        "slug",
        ['a"; DROP DATABASE silo; --', "a\0b", "x" * 70, "", "Acme", "a b", "-a", "a-", "a_b", "ä", "a\n", "../a"],
    )
    def test_that_is_none_is_refused(self, fleet: Fleet, slug: str) -> None:
        before = Tenant.objects.count()
        with pytest.raises(InvalidTenantError):
            create_tenant(slug=slug)
        assert Tenant.objects.count() == before

    def test_that_is_none_is_refused_by_postgresql_too(self, fleet: Fleet) -> None:
        server = Server.objects.get()
        with pytest.raises(DatabaseError):
            Tenant.objects.create(slug="Not A Slug", server=server)

    def test_is_unique(self, fleet: Fleet) -> None:
        fleet.make("first")
        with pytest.raises(TenantExistsError):
            create_tenant(slug="first")

    def test_may_change_and_the_database_stays(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        Tenant.objects.filter(pk=tenant.pk).update(slug="renamed")
        with use_tenant("renamed") as renamed:
            assert renamed.alias == tenant.alias


KILL_AFTER = """
import os, signal
import django
django.setup()
from tenants import lifecycle
from tenants.databases import bookkeeping, provision
def dying(step):
    def run(work):
        step(work)
        if step.__name__ == os.environ["KILL_AFTER"]:
            os.kill(os.getpid(), signal.SIGKILL)
    return run
provision.STEPS = tuple(dying(step) for step in provision.STEPS)
from tenants.lifecycle import create_tenant
create_tenant(slug="first")
"""

KILL_WHILE_BUILDING = """
import os, signal
import django
django.setup()
from tenants.rollout import templates
templates.bring = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from tenants.lifecycle import create_tenant
create_tenant(slug="first")
"""


class KilledWhileATenantIsMade:
    """Case 22: the next try goes on; nothing is orphaned."""

    @pytest.mark.parametrize("step", STEPS)
    def test_the_next_try_goes_on_after(self, fleet: Fleet, step: str) -> None:
        killed = fleet.start("-c", KILL_AFTER, KILL_AFTER=step)
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL
        assert Tenant.objects.get(slug="first").state == Tenant.State.PROVISIONING
        done = fleet.call("tenants", "create", "first")
        assert (done.returncode, done.stderr) == (0, "")
        tenant = Tenant.objects.get(slug="first")
        assert tenant.state == Tenant.State.ACTIVE
        with use_tenant(tenant):
            assert Document.objects.count() == 0
        assert as_owner(tenant, "SELECT value FROM silo.facts") == [(str(tenant.id),)]

    def test_a_half_made_tenant_is_not_served(self, fleet: Fleet) -> None:
        fleet.start("-c", KILL_AFTER, KILL_AFTER="make_database").communicate(timeout=60)
        with pytest.raises(TenantUnavailableError):
            use_tenant("first").__enter__()

    def test_a_half_made_template_is_dropped_by_the_next_builder(self, fleet: Fleet) -> None:
        base = Template.objects.get()
        Template.objects.filter(pk=base.pk).update(head_key="another", state=Template.State.READY)
        Installation.move_head("")
        try:
            fleet.start("-c", KILL_WHILE_BUILDING).communicate(timeout=60)
            (half,) = Template.objects.filter(state=Template.State.BUILDING)
            wait_until_unlocked(BUILD_LOCK)
            (tenant,) = fleet.make("second")
            assert not on_server("SELECT 1 FROM pg_database WHERE datname = %s", half.name)
            assert not Template.objects.filter(state=Template.State.BUILDING).exists()
            assert tenant.state == Tenant.State.ACTIVE
        finally:
            Template.objects.exclude(pk=base.pk).filter(head_key=base.head_key).update(head_key="of this test")
            Template.objects.filter(pk=base.pk).update(head_key=base.head_key)


def wait_until_unlocked(key: int) -> None:
    """The killed client's session ends when its server process next looks; until then it holds the lock."""
    assert poll(
        lambda: not on_server("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = %s", key),
        timedelta(seconds=30),
    )


class TwoProvisioners:
    def test_are_both_content(self, fleet: Fleet) -> None:
        tenant = Tenant.objects.create(slug="first")

        def make(_: int) -> None:
            try:
                Tenant.objects.select_related("server").get(pk=tenant.pk).create_database()
            finally:
                connections.close_all()

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(make, range(3)))
        tenant.refresh_from_db()
        assert (tenant.state, tenant.failure) == (Tenant.State.ACTIVE, "")

    def test_of_whom_one_is_late_do_not_undo_a_suspension(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        late, fast = (Tenant.objects.create(slug="first"), Tenant.objects.get(slug="first"))
        current = provision.templates.current

        def overtaken(server: Server) -> Template:
            monkeypatch.setattr(provision.templates, "current", current)
            fast.create_database()
            suspend(fast)
            return current(server)

        monkeypatch.setattr(provision.templates, "current", overtaken)
        with pytest.raises(TransitionError):
            late.create_database()
        assert accepts_connections(fast) == (False, Tenant.State.SUSPENDED)


class AHeadThatMovesMeanwhile:
    def test_is_reached_before_the_tenant_is_served(
        self, fleet: Fleet, notes: NotesMigrations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        notes.add("0002_colour", ADD_COLOUR)

        def roll_out_meanwhile(_: provision.Work) -> None:
            run_rollout(Request(latest()))

        monkeypatch.setattr(provision, "STEPS", (*provision.STEPS, roll_out_meanwhile))
        (tenant,) = fleet.make("first")
        assert applied_to(tenant) == ["0001_initial", "0002_colour"]

    def test_by_a_squashed_migration_costs_no_table(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (tenant,) = fleet.make("first")
        as_owner(tenant, "INSERT INTO notes_note (text) VALUES ('precious')")
        suspend(tenant)
        notes.add("0002_colour", ADD_COLOUR)
        run_rollout(Request(latest()))
        notes.squash("0001_squashed_0002", CREATE_SQUASHED, attributes=SQUASHES)
        resume(tenant)
        assert as_owner(tenant, "SELECT text, colour FROM notes_note") == [("precious", "red")]
        assert find_drift([tenant], workers=1) == []


class ADatabaseThatIsBeingVacuumed:
    """Only a superuser may end an autovacuum worker; the platform's role leaves it alone."""

    SLOWLY = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
    WORKER = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND usesysid IS NULL"

    def test_is_closed_all_the_same(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        as_superuser("postgres", "ALTER SYSTEM SET autovacuum_naptime = 1")
        as_superuser("postgres", "SELECT pg_reload_conf()")
        try:
            as_owner(tenant, f"CREATE TABLE large (a int) WITH ({self.SLOWLY})")
            as_owner(tenant, "INSERT INTO large SELECT generate_series(1, 500000)")
            assert poll(lambda: bool(on_server(self.WORKER, tenant.alias)), timedelta(seconds=60))
            suspend(tenant)
            assert accepts_connections(tenant) == (False, Tenant.State.SUSPENDED)
        finally:
            as_superuser("postgres", "ALTER SYSTEM RESET autovacuum_naptime")
            as_superuser("postgres", "SELECT pg_reload_conf()")


class ADropThatWasCutOff:
    """Case 23: PostgreSQL marks such a database with datconnlimit = -2; only DROP works on it."""

    def test_is_dropped_and_made_again(self, fleet: Fleet) -> None:
        fleet.start("-c", KILL_AFTER, KILL_AFTER="make_database").communicate(timeout=60)
        alias = Tenant.objects.get(slug="first").alias
        as_superuser("postgres", f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{alias}'")
        done = fleet.call("tenants", "create", "first")
        assert done.returncode == 0, done.stderr
        assert on_server("SELECT datconnlimit FROM pg_database WHERE datname = %s", alias) == [(-1,)]


class AFailedCreation:
    def test_says_why_and_can_be_gone_on_with(self, fleet: Fleet) -> None:
        server = Server.objects.create(name="far", host="127.0.0.1", port=1)
        try:
            with pytest.raises(ProvisioningError):
                create_tenant(slug="first", server=server)
            tenant = Tenant.objects.get(slug="first")
            assert tenant.state == Tenant.State.PROVISIONING
            assert "Connection refused" in tenant.failure
            Tenant.objects.filter(pk=tenant.pk).update(server=Server.objects.get(name="main"))
            tenant = Tenant.objects.select_related("server").get(slug="first")
            tenant.create_database()
            assert (tenant.state, tenant.failure) == (Tenant.State.ACTIVE, "")
        finally:
            Tenant.objects.filter(server=server).update(server=Server.objects.get(name="main"))
            server.delete()


class ManyMadeAtOnce:
    def test_are_all_made(self, fleet: Fleet) -> None:
        slugs = [f"tenant-{letter}" for letter in "abcdefgh"]

        def make(slug: str) -> str:
            try:
                return create_tenant(slug=slug).state
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(make, slugs)) == [Tenant.State.ACTIVE] * 8

    def test_with_one_slug_leave_one_tenant(self, fleet: Fleet) -> None:
        def make(_: int) -> str:
            try:
                return create_tenant(slug="first").slug
            except TenantExistsError:
                return "refused"
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(make, range(4))) == ["first", "refused", "refused", "refused"]
        assert Tenant.objects.get(slug="first").state == Tenant.State.ACTIVE


class TheRunTimeRole:
    def test_reaches_its_own_database(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        with session(tenant) as mine, mine.cursor() as cursor:
            cursor.execute("SELECT current_user, current_database()")
            assert cursor.fetchone() == (tenant.alias, tenant.alias)
        mine.close()

    @pytest.mark.parametrize("database", ["postgres", "template1", "the main database", "the template", "another"])
    def test_reaches_no_other(self, fleet: Fleet, database: str) -> None:
        mine, other = fleet.make("first", "second")
        name = {
            "the main database": connections["default"].settings_dict["NAME"],
            "the template": Template.objects.get().name,
            "another": other.alias,
        }.get(database, database)
        with pytest.raises(psycopg2.OperationalError):
            session(mine, dbname=name)

    def test_is_kept_out_by_rights_and_not_by_pg_hba_alone(self, fleet: Fleet) -> None:
        mine, other = fleet.make("first", "second")
        rights = on_server(
            "SELECT has_database_privilege(%s, datname, 'CONNECT'), datname FROM pg_database WHERE datname = ANY(%s)",
            mine.alias,
            [mine.alias, other.alias, "postgres", "template1", "silo", Template.objects.get().name],
        )
        assert [name for may, name in rights if may] == [mine.alias]

    def test_must_know_its_password(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        with pytest.raises(psycopg2.OperationalError):
            session(tenant, password="guessed")

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE t (a int)",
            "CREATE SCHEMA s",
            "ALTER TABLE notes_note ADD a int",
            "DROP TABLE notes_note",
            "TRUNCATE notes_note",
            "CREATE INDEX ON notes_note (text)",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE EXTENSION hstore",
            "INSERT INTO django_migrations (app, name, applied) VALUES ('a', 'b', now())",
            "DELETE FROM django_migrations",
            "UPDATE silo.facts SET value = 'another'",
            "CREATE ROLE r",
            "CREATE DATABASE d",
            "GRANT ALL ON notes_note TO PUBLIC",
            "SET ROLE silo",
        ],
    )
    def test_has_no_ddl(self, fleet: Fleet, statement: str) -> None:
        (tenant,) = fleet.make("first")
        mine = session(tenant)
        mine.autocommit = True
        with mine.cursor() as cursor:
            try:
                cursor.execute(statement)
            except psycopg2.errors.InsufficientPrivilege:
                refused = True
            else:
                refused = "no privileges were granted" in "".join(mine.notices)
        mine.close()
        assert refused

    def test_works_on_tables_of_later_migrations(self, fleet: Fleet, notes: NotesMigrations) -> None:
        (tenant,) = fleet.make("first")
        notes.add("0002_tag", 'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))])')
        run_rollout(Request(latest()))
        mine = session(tenant)
        with mine.cursor() as cursor:
            cursor.execute("INSERT INTO notes_tag DEFAULT VALUES RETURNING id")
            assert cursor.fetchone() == (1,)
        mine.close()

    def test_is_limited_in_its_sessions(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        assert on_server("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", tenant.alias) == [(50,)]

    def test_has_its_password_in_no_statement(self, fleet: Fleet) -> None:
        as_superuser("postgres", "ALTER ROLE silo SET log_statement = 'all'")
        try:
            (tenant,) = fleet.make("first")
        finally:
            as_superuser("postgres", "ALTER ROLE silo RESET log_statement")
        log = log_file(settings.SILO_DATA_DIR).read_text(errors="replace")
        assert f'CREATE ROLE "{tenant.alias}"' in log
        assert connections.settings[tenant.alias]["PASSWORD"] not in log


class ASuspendedTenant:
    """Case 29."""

    def test_loses_the_sessions_it_has(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        mine = session(tenant)
        suspend(tenant)
        with pytest.raises(psycopg2.OperationalError), mine.cursor() as cursor:
            cursor.execute("SELECT 1")

    def test_can_not_be_connected_to(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        suspend(tenant)
        with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
            session(tenant)
        with pytest.raises(TenantUnavailableError):
            use_tenant("first").__enter__()

    def test_is_suspended_or_resumed_by_one_process_at_a_time(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else one that is resumed between the two halves of another's `suspend` would be served, and closed."""
        (tenant,) = fleet.make("first")
        monkeypatch.setattr("tenants.databases.provision.LOCK_WAIT", timedelta())
        with provision.alone_with(tenant), pytest.raises(TenantBusyError):
            suspend(tenant)
        assert Tenant.objects.get(pk=tenant.pk).state == Tenant.State.ACTIVE
        suspend(tenant)
        with provision.alone_with(tenant), pytest.raises(TenantBusyError):
            resume(tenant)
        assert Tenant.objects.get(pk=tenant.pk).state == Tenant.State.SUSPENDED

    def test_is_served_again_after_it_is_resumed(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        suspend(tenant)
        resume(tenant)
        with use_tenant("first"):
            assert Document.objects.count() == 0

    def test_is_closed_by_the_next_try_where_the_first_was_cut_off(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tenant,) = fleet.make("first")
        with monkeypatch.context() as cut_off:
            cut_off.setattr(lifecycle, "close_connections", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                suspend(tenant)
        suspend(tenant)
        assert accepts_connections(tenant) == (False, Tenant.State.SUSPENDED)

    def test_stays_closed_where_it_cannot_be_brought_to_the_fleets_head(
        self, fleet: Fleet, notes: NotesMigrations
    ) -> None:
        (tenant,) = fleet.make("first")
        as_owner(tenant, "INSERT INTO notes_note (text) VALUES ('bad')")
        suspend(tenant)
        notes.add("0002_picky", "migrations.RunPython(forwards)", before=RAISES_ON_A_BAD_NOTE)
        run_rollout(Request(latest()))
        with pytest.raises(ProvisioningError):
            resume(tenant)
        assert accepts_connections(tenant) == (False, Tenant.State.SUSPENDED)

    def test_that_is_resumed_during_a_rollout_is_brought_along(self, fleet: Fleet, notes: NotesMigrations) -> None:
        _, tenant = fleet.make("first", "second")
        suspend(tenant)
        notes.add("0002_colour", ADD_COLOUR)

        class ResumeMeanwhile(Silent):
            def done(self, other: Tenant | None, outcome: object) -> None:
                if other is not None and other.slug == "first":
                    resume(tenant)

        assert run_rollout(Request(latest(), workers=1), watcher=ResumeMeanwhile()).state == "succeeded"
        assert applied_to(tenant) == ["0001_initial", "0002_colour"]

    def test_is_not_taken_back_into_service_by_a_row_that_was_read_before(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        read_before = Tenant.objects.get(pk=tenant.pk)
        suspend(tenant)
        read_before.name = "Another name"
        read_before.save()
        tenant.refresh_from_db()
        assert (tenant.name, tenant.state) == ("Another name", Tenant.State.SUSPENDED)

    def test_without_its_database_is_told_apart(self, fleet: Fleet) -> None:
        (tenant,) = fleet.make("first")
        on_server(f'DROP DATABASE "{tenant.alias}"')
        with pytest.raises(DatabaseMissingError):
            suspend(tenant)


def accepts_connections(tenant: Tenant) -> tuple[bool, str]:
    """What the server says, and what main says."""
    ((open_to_sessions,),) = on_server("SELECT datallowconn FROM pg_database WHERE datname = %s", tenant.alias)
    tenant.refresh_from_db()
    return open_to_sessions, tenant.state


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
