"""Celery tasks that run for the tenant they were sent for. Named in ``Celery(..., task_cls=...)``.

The message carries the tenant in a header of its own, written anew each time a task is sent, whatever headers were
handed along: a task that passes its own on would else keep the tenant it once had. The worker makes that tenant
current while the task runs; with no tenant in the message none is current, and a query of a tenant app raises.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from typing import Any

from celery import current_task
from celery.app.task import Context
from celery.contrib.django.task import DjangoTask
from django.db import DEFAULT_DB_ALIAS, transaction

from tenants.context import current_alias, use_main, use_tenant
from tenants.errors import NoTenantError, TenantUnavailableError, UnknownTenantError
from tenants.routing.registry import directory

TENANT_HEADER = "silo_tenant"


class TenantTask(DjangoTask):
    """What ``delay``, ``apply_async``, ``retry`` and canvas (chain, group, chord) send, with the tenant.

    In the worker it raises ``UnknownTenantError`` for a tenant that has been deleted since. For one that is not active
    it tries again later, ``max_retries`` times, and then raises ``TenantUnavailableError``.
    """

    abstract = True

    tenant_required = False
    """``@shared_task(tenant_required=True)``: without a tenant it is neither sent nor run, but ``NoTenantError``."""

    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **self._for_the_tenant(options))

    def apply(self, *args: Any, **options: Any) -> Any:
        return super().apply(*args, **self._for_the_tenant(options))

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """``delay`` once the current tenant's transaction is committed; main's where no tenant is current."""
        self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(self, *args: Any, **options: Any) -> None:
        """``apply_async`` once the current tenant's transaction is committed; main's where no tenant is current."""
        using = options.pop("using", current_alias() or DEFAULT_DB_ALIAS)
        # Sent for the tenant that is current now: another may be when the transaction ends.
        here = copy_context()
        transaction.on_commit(lambda: here.run(self.apply_async, *args, **options), using=using)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        alias = _alias_in(self.request)
        self._require(alias)
        with ExitStack() as scope:
            scope.callback(self._scope_is_over)
            try:
                scope.enter_context(_scope(alias))
            except TenantUnavailableError as error:
                self._scope_is_over()
                raise self.retry(exc=error, countdown=error.retry_after_s) from error
            # Not `super().__call__`: it puts an empty request over the one that the task may want to read.
            return self.run(*args, **kwargs)

    def _scope_is_over(self) -> None:
        self.request.tenant_scope_is_over = True

    def _for_the_tenant(self, options: dict[str, Any]) -> dict[str, Any]:
        alias = _alias_to_send()
        self._require(alias)
        return {**options, "headers": {**(options.get("headers") or {}), TENANT_HEADER: alias}}

    def _require(self, alias: str | None) -> None:
        if self.tenant_required and alias is None:
            raise NoTenantError(f"task {self.name}")


def _alias_to_send() -> str | None:
    """The current tenant's. When a task's scope is over, that task's: its retry is sent, or what follows in a chain."""
    request: Context | None = current_task.request if current_task else None
    if request is not None and getattr(request, "tenant_scope_is_over", False):
        return _alias_in(request)
    return current_alias()


def _alias_in(request: Context) -> str | None:
    # A message's headers stand on the request itself; `apply()`, which sends none, leaves them below `headers`.
    alias: str | None = getattr(request, TENANT_HEADER, None) or (request.headers or {}).get(TENANT_HEADER)
    return alias


def _scope(alias: str | None) -> AbstractContextManager[object]:
    if alias is None:
        return use_main()
    tenant = directory.find_by_alias(alias)
    if tenant is None:
        raise UnknownTenantError(alias)
    return use_tenant(tenant)
