"""More PostgreSQL servers for a test: real ones, on TCP, that it may stop, freeze and kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2

from platform_site import embedded
from platform_site.embedded import place
from platform_site.embedded.binaries import server_programs
from tenants.databases.sessions import poll
from tenants.models import Server
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
PG_HBA = """\
local all      postgres              trust
host  all      postgres 127.0.0.1/32 trust
host  all      silo     127.0.0.1/32 trust
host  sameuser all      127.0.0.1/32 scram-sha-256
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


@dataclass
class ExtraServer:
    """A cluster of a test's own, made as the embedded one is, and started again on TCP."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        embedded.ensure_running(self.data_dir, durable=False)
        embedded.stop(self.data_dir)
        self._write_access(PG_HBA)
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        home, account = place.home(self.data_dir).resolve(), place.account(self.data_dir)
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "hba_file": str(home / "pg_hba_tcp.conf"),
            "synchronous_commit": "on",  # what was committed outlives a crash of the server
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [server_programs() / "postgres", "-D", home, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        assert poll(self._answers, timedelta(seconds=30)), f"the server in {self.data_dir} does not start"

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT in good order, SIGQUIT as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop its postmaster: the kernel still takes connections, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def ask(self, query: str) -> Any:
        """The one value that a query gives, asked in a new session as its superuser."""
        return self._query("postgres", query)[0][0]

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as its superuser."""
        self._query(database, statement)

    def _query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        session = psycopg2.connect(host=HOST, port=self.port, user="postgres", dbname=database)
        try:
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            session.close()

    @contextmanager
    def with_access(self, rules: str) -> Iterator[None]:
        """Have another pg_hba.conf in force, while inside."""
        self._reload_access(rules)
        try:
            yield
        finally:
            self._reload_access(PG_HBA)

    @contextmanager
    def registered(self, name: str) -> Iterator[Server]:
        """Its row in main, for ``clean_up`` to remove; the server runs again by then, so that its databases can go."""
        try:
            yield Server.objects.create(name=name, host=HOST, port=self.port)
        finally:
            if self._process is None:
                self.start()

    def _write_access(self, rules: str) -> None:
        (place.home(self.data_dir) / "pg_hba_tcp.conf").write_text(rules)

    def _reload_access(self, rules: str) -> None:
        """New sessions tell when the postmaster has read it."""
        since = self.ask("SELECT now()")
        self._write_access(rules)
        self.run("SELECT pg_reload_conf()")
        wait_until(lambda: self.ask("SELECT pg_conf_load_time()") > since)

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True


@contextmanager
def extra_server(name: str) -> Iterator[ExtraServer]:
    """A cluster of this process's own, beside the run's; ``pytest_configure`` ends what a killed process left."""
    server = ExtraServer(embedded.data_dir_of_tests(f"{os.getpid()}-{name}"))
    try:
        server.make()
        yield server
    finally:
        server.end(signal.SIGQUIT)
        embedded.remove(server.data_dir)
