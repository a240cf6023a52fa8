"""The documented seam in Django for tenant-app models, ours and third-party ones alike.

Django keeps no trace of the tenant under which a query was built or rows were fetched, takes a row of another tenant
for its bare key, and calls rows of two tenants with the same key equal. Here each model that lives in tenant databases
only is given:

- ``queries``: queries that remember under which tenant they were built, and rows that are given out under the tenant
  that fetched them only;
- ``rows``: ``WrongTenantError`` wherever a row of another tenant is compared, looked up, written, validated or chosen,
  even where ``using=`` names a database;
- ``relations``: the same in related managers and in prefetching.

Of a model that lives in both (see ``tenant_apps``) rows are guarded and queries are not: they may mean main. What
reaches a connection nevertheless is refused there (``routing.backend``). ``transactions`` is about all models.
"""

from __future__ import annotations

from django.apps import apps
from django.db.models import QuerySet
from django.db.models.signals import class_prepared

from tenants.routing.guards import queries, relations, rows
from tenants.routing.guards.seam import guard_model


def install() -> None:
    """Guard the models of all tenant apps. Called when the apps are ready."""
    for model in apps.get_models(include_auto_created=True):
        guard_model(model)
    if getattr(QuerySet, "_silo_guarded", False):
        return
    QuerySet._silo_guarded = True  # type: ignore[attr-defined]
    # A class that is made later, too; but not the stand-ins that migrations work with.
    class_prepared.connect(_guard_latecomer, dispatch_uid="tenants.guards")
    queries.install()
    rows.install()
    relations.install()


def _guard_latecomer(sender: type, **_: object) -> None:
    if sender._meta.apps is apps:  # type: ignore[attr-defined]
        guard_model(sender)
