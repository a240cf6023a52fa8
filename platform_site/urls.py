"""Every address that Silo answers under."""

from django.apps import apps
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from platform_site import health, papers

admin.autodiscover()

# TENANT_APPS may leave tenant_data out, and its models cannot be imported then.
data = ["tenant_data.api.urls"] if apps.is_installed("tenant_data") else []

# What is asked most stands first: Django tries one pattern after the other.
urlpatterns = [
    *(path("api/v1/", include(urls)) for urls in data),
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("tenants.api.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/errors/", papers.errors_view, name="api-errors"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
]
