"""Settings that name every database, as they do where nothing makes aliases on demand."""

from benchmarks import settings as silo
from benchmarks.settings import *  # noqa: F403

MAIN = dict(silo.DATABASES["default"])

ALIASES = [f"by_hand_{number}" for number in range(2000)]
DATABASES = {"default": MAIN} | {alias: MAIN | {"NAME": alias} for alias in ALIASES}  # type: ignore[assignment]  # plain
DATABASE_ROUTERS = ["benchmarks.by_hand.router.TenantAppsRouter"]
INSTALLED_APPS = ["benchmarks.requests.plain" if app == "tenants" else app for app in silo.INSTALLED_APPS]
