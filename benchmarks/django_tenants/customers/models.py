"""What django-tenants asks a project to declare."""

from __future__ import annotations

from django_tenants.models import DomainMixin, TenantMixin


class Customer(TenantMixin):
    auto_create_schema = False  # `fleet` makes many at once


class Domain(DomainMixin):
    pass
