"""Models with each kind of relation, in tenant databases. They have no migration: ``shelves`` makes their tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.db import models
from pytest_django import DjangoDbBlocker

from tenants.databases.sessions import owner_session
from tenants.models import Tenant


class Label(models.Model):
    name = models.CharField(max_length=20, unique=True)

    objects: ClassVar[models.Manager[Label]] = models.Manager()

    class Meta:
        app_label = "notes"

    def __str__(self) -> str:
        return self.name


class Shelf(models.Model):
    """Children of a label, by a key that may be null; and labels, many to many."""

    main_label = models.ForeignKey(Label, null=True, on_delete=models.CASCADE, related_name="shelves")
    labels: Any = models.ManyToManyField(Label, related_name="all_shelves")

    objects: ClassVar[models.Manager[Shelf]] = models.Manager()

    class Meta:
        app_label = "notes"

    def __str__(self) -> str:
        return str(self.pk)


@pytest.fixture(scope="module")
def shelves(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Their tables in acme and globex, while a module's tests run."""
    with django_db_blocker.unblock():
        tenants = list(Tenant.objects.filter(slug__in=["acme", "globex"]).select_related("server"))
        for tenant in tenants:
            with owner_session(tenant) as connection, connection.schema_editor() as editor:
                for model in (Label, Shelf):
                    editor.create_model(model)
    yield
    with django_db_blocker.unblock():
        for tenant in tenants:
            with owner_session(tenant) as connection, connection.schema_editor() as editor:
                for model in (Shelf, Label):
                    editor.delete_model(model)
