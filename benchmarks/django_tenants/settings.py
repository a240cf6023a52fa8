"""The peer's settings, with django-tenants' defaults, on the same PostgreSQL server as Silo's fleet."""

from platform_site import embedded

DATABASES = {
    "default": embedded.settings_for(embedded.data_dir_of_tests("bench"))
    | {"ENGINE": "django_tenants.postgresql_backend", "NAME": "django_tenants"}
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "signs nothing"
USE_TZ = True

# django-tenants cannot be imported without contenttypes; documents' indexes need what Django has for PostgreSQL alone.
SHARED_APPS = [
    "django_tenants",
    "benchmarks.django_tenants.customers",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
]
TENANT_APPS = ["benchmarks.django_tenants.tenant_data", "tests.apps.notes"]
INSTALLED_APPS = SHARED_APPS + TENANT_APPS
MIGRATION_MODULES = {"notes": "benchmarks.migrations", "tenant_data": "tenant_data.migrations"}

TENANT_MODEL = "customers.Customer"
TENANT_DOMAIN_MODEL = "customers.Domain"
