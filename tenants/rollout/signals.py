"""``pre_migrate`` and ``post_migrate`` for one database, sent as `migrate` sends them, for the apps that live there."""

from __future__ import annotations

from django.db.models.signals import post_migrate, pre_migrate
from django.dispatch import Signal

from tenants.rollout.program import Program
from tenants.tenant_apps import tenant_app_configs


def send_pre_migrate(alias: str, program: Program, *, interactive: bool = False) -> None:
    _send(pre_migrate, alias, apps=program.apps_before, plan=program.plan_to_show(), interactive=interactive)


def send_post_migrate(alias: str, program: Program, *, interactive: bool = False) -> None:
    _send(post_migrate, alias, apps=program.apps_after, plan=program.plan_to_show(), interactive=interactive)


def _send(signal: Signal, alias: str, **arguments: object) -> None:
    for config in tenant_app_configs():
        if config.models_module is not None:
            signal.send(sender=config, app_config=config, verbosity=0, using=alias, **arguments)
