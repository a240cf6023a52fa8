"""The same work on many tenants, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from django.db import connections

from tenants.models import Tenant

Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Tenant], Result], tenants: Iterable[Tenant], *, workers: int
) -> Iterator[tuple[Tenant, Result | Exception]]:
    """Each tenant with what ``work`` gave, or what it raised, as they are done; ``workers`` of them at a time.

    Whoever leaves early, as by Ctrl-C, waits for those in hand only.
    """

    def run(tenant: Tenant) -> Result | Exception:
        try:
            return work(tenant)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="silo-tenants")
    try:
        running = {pool.submit(run, tenant): tenant for tenant in tenants}
        for done in as_completed(running):
            yield running.pop(done), done.result()
    finally:
        pool.shutdown(cancel_futures=True)
