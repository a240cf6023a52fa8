"""The peer's settings: Silo's for requests, less its routing."""

from benchmarks.requests import settings as silo
from benchmarks.requests.settings import *  # noqa: F403

DATABASES = {"default": silo.DATABASES["default"]}  # type: ignore[assignment]  # a plain dict is the point
DATABASE_ROUTERS = []
INSTALLED_APPS = ["benchmarks.requests.plain" if app == "tenants" else app for app in silo.INSTALLED_APPS]
MIDDLEWARE = [name for name in silo.MIDDLEWARE if name != "tenants.routing.middleware.TenantMiddleware"]
ROOT_URLCONF = "benchmarks.requests.plain.urls"
