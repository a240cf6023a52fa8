"""Reads the environment strictly: each function returns a value that can be used, or says which variable is wrong.

A message has the variable's name, why its value will not do, and the mend. A blank variable counts as one not set.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import environ
from django.core.exceptions import ImproperlyConfigured

from platform_site import embedded
from tenant_data.sizes import parse_size

env = environ.Env()

TRUE, FALSE = ("1", "on", "true", "yes"), ("0", "off", "false", "no")
HOW_TO_MAKE_ONE = (
    'Make one with: python -c "import secrets; print(secrets.token_urlsafe(50))". '
    "On a machine for development, set DEBUG=on instead."
)
# What Django's own check security.W009 asks of SECRET_KEY.
SHORTEST_SECRET, FEWEST_CHARACTERS = 50, 5
INSECURE = "django-insecure-"


def wrong(name: str, why: str, mend: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} {why}. {mend}")


def text(name: str, default: str = "") -> str:
    return env.str(name, default="").strip() or default


def flag(name: str, *, default: bool) -> bool:
    value = text(name).lower()
    if value and value not in TRUE + FALSE:
        raise wrong(name, f"is {value!r}, which is neither yes nor no", f"Set {name}=on or {name}=off.")
    return value in TRUE if value else default


def count(name: str, *, default: int, at_least: int = 0) -> int:
    value = text(name, str(default))
    if not value.isdecimal():
        raise wrong(name, f"is {value!r}, which is not a whole number", f"Set {name}={default}, for example.")
    if int(value) < at_least:
        raise wrong(name, f"is {value}, which is less than {at_least}", f"Set {name}={default}, for example.")
    return int(value)


def size(name: str, default: str) -> int:
    """Bytes; 0 where there is no limit."""
    try:
        return parse_size(text(name, default))
    except ValueError as error:
        raise wrong(name, f"is wrong: {error}", f"Set {name}={default}, for example, or 0 for no limit.") from error


def choice(name: str, options: tuple[str, ...]) -> str:
    """One of the options; the first is the default."""
    value = text(name, options[0])
    if value not in options:
        raise wrong(name, f"is {value!r}, which is not one of: {', '.join(options)}", f"Set {name}={options[0]}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """A list written with commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def hosts(name: str, *, debug: bool) -> list[str]:
    if found := words(name):
        return found
    if debug:
        return ["localhost", ".localhost", "127.0.0.1", "[::1]"]
    raise wrong(
        name, "is not set, and DEBUG is off", f"Set {name} to the names Silo is served under: {name}=silo.example."
    )


def domain(name: str) -> str:
    value = text(name).lower()
    if value.startswith(".") or not set(value) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-"):
        raise wrong(
            name, f"is {value!r}, which is not a domain", f"Set it without scheme, port or dot: {name}=silo.example."
        )
    return value


def location(name: str) -> str:
    """A location of the web server before Silo: begins and ends with a slash."""
    value = text(name)
    if value and not (len(value) > 1 and value.startswith("/") and value.endswith("/")):
        raise wrong(name, f"is {value!r}, which does not begin and end with a slash", f"Set {name}=/contents/.")
    return value


def secret(name: str, *, debug: bool) -> str:
    """A secret for production; while DEBUG is on a fixed one, whose name says what it is worth."""
    value = text(name)
    if debug:
        return value or f"{INSECURE}{name.lower()}-for-development-only-never-in-production"
    if not value:
        raise wrong(name, "is not set, and DEBUG is off", HOW_TO_MAKE_ONE)
    if value.startswith(INSECURE):
        raise wrong(name, "is the one of development, and DEBUG is off", HOW_TO_MAKE_ONE)
    if len(value) < SHORTEST_SECRET or len(set(value)) < FEWEST_CHARACTERS:
        why = f"is too easily guessed: it needs {SHORTEST_SECRET} characters, {FEWEST_CHARACTERS} of them different"
        raise wrong(name, why, HOW_TO_MAKE_ONE)
    return value


def url(name: str) -> str:
    value = text(name)
    if value and not value.partition("://")[2]:
        raise wrong(name, "is not a URL", f"Write it like {name}=redis://host:6379/0, or leave it out.")
    return value


def counters(name: str) -> dict[str, Any]:
    """Django's settings of a cache for counting: Redis, which all processes share, or this process's memory."""
    value = text(name)
    if not value:
        memory = "django.core.cache.backends.locmem.LocMemCache"
        # Above its entries it throws some away at random, and with them what somebody has used.
        return {"BACKEND": memory, "LOCATION": name, "OPTIONS": {"MAX_ENTRIES": 100_000}}
    if not value.startswith(("redis://", "rediss://")):
        # Others may lose counts: memory and database caches of Django's read a number, and write another.
        raise wrong(name, "does not begin with redis:// or rediss://", f"Write it like {name}=redis://host:6379/1.")
    if importlib.util.find_spec("redis") is None:
        raise wrong(name, "is set, and the package redis is not installed", "Install it: pip install redis.")
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": value}


def site_url(name: str, *, hosts: list[str], debug: bool) -> str:
    """Where people reach Silo, without a slash at the end. Never read from a request: a forged Host would get links."""
    default = "http://127.0.0.1:8000" if debug else f"https://{hosts[0].lstrip('.*')}"
    value = text(name, default).rstrip("/")
    if not value.startswith(("http://", "https://")):
        raise wrong(name, f"is {value!r}, which is no address of a site", f"Write it like {name}=https://silo.example.")
    return value


def email(name: str) -> dict[str, Any]:
    """Django's settings of the mail server."""
    example = f"Write it like {name}=smtp+tls://user:password@host:587, with special characters percent-encoded."
    # An error never repeats the value, nor the parser's words about it: it holds a password.
    try:
        found: dict[str, Any] = env.email_url_config(text(name, "consolemail://"))
    except (ValueError, ImproperlyConfigured):
        raise wrong(name, "cannot be read as the URL of a mail server", example) from None
    # What the URL leaves out, Django has defaults for.
    return {setting: value for setting, value in found.items() if value not in (None, "") and setting != "OPTIONS"}


def main_database(name: str, *, debug: bool, data_dir: Path) -> dict[str, Any]:
    """Django's settings of the main database: the one of the URL, or, while DEBUG is on, the embedded one."""
    example = f"Write it like {name}=postgres://user:password@host:5432/name, with special characters percent-encoded."
    # An error never repeats the value, nor the parser's words about it: it holds a password.
    if value := text(name):
        if not value.startswith(("postgres://", "postgresql://")):
            raise wrong(name, "does not begin with postgres://, and Silo runs on PostgreSQL only", example)
        try:
            found = env.db_url(name)
        except (ValueError, ImproperlyConfigured):
            raise wrong(name, "cannot be read as the URL of a database", example) from None
        if not found.get("NAME"):
            raise wrong(name, "names no database", example)
        # A socket's folder is written with %2F, as libpq takes it; the parser leaves the host as it stands.
        return {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, **found, "HOST": unquote(found["HOST"])}
    if not debug:
        raise wrong(name, "is not set, and DEBUG is off", example)
    try:
        embedded.put_programs_on_path()
        return embedded.settings_for(data_dir)
    except embedded.EmbeddedPostgresError as error:
        raise ImproperlyConfigured(str(error)) from error


def apps(name: str, default: str) -> list[str]:
    """Names of Django apps, each of which can be imported."""
    found = words(name, default)
    for entry in found:
        if found.count(entry) > 1:
            raise wrong(name, f"names {entry!r} twice", "Name each app once.")
        if not _can_be_imported(entry):
            mend = "Install it, put its folder on PYTHONPATH, or correct the name."
            raise wrong(name, f"names {entry!r}, which cannot be imported", mend)
    return found


def folder(name: str, path: Path) -> Path:
    """Make a private folder below the value of a variable."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = f"cannot be used: {path}: {error.strerror}"
        raise wrong(name, why, "Set it to a folder that this user may write to.") from error
    return path


def _can_be_imported(entry: str) -> bool:
    """A module, as in `taggit`, or a class in one, as in `taggit.apps.TaggitAppConfig`."""
    if not all(part.isidentifier() for part in entry.split(".")):
        return False
    try:
        if importlib.util.find_spec(entry):
            return True
    except (ImportError, ValueError):
        pass
    module, _, name = entry.rpartition(".")
    try:
        return bool(module) and hasattr(importlib.import_module(module), name)
    except ImportError:
        return False
