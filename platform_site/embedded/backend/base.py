"""Importing the settings starts nothing: the server starts with the first connection, or the first `dbshell`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.client import DatabaseClient as PostgresClient

from platform_site.embedded import ensure_running


class DatabaseClient(PostgresClient):
    def runshell(self, parameters: Iterable[str]) -> None:
        _start_server(self.connection.settings_dict)
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        # Tried first and repaired second: a server that runs costs nothing. That is right because the platform's role
        # may log in only once the cluster is finished.
        try:
            return super().get_new_connection(conn_params)
        except self.Database.OperationalError:
            _start_server(self.settings_dict)
        return super().get_new_connection(conn_params)


def _start_server(settings_dict: dict[str, Any]) -> None:
    embedded = settings_dict["EMBEDDED"]
    ensure_running(Path(embedded["data_dir"]), durable=embedded["durable"])
