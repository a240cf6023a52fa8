"""The tables of tenants and members without what Silo does with them: its own config guards the models."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
