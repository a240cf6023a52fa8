"""Tenants by slug, as main had them a moment ago, so that a request need not ask main again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models.base import ModelState

if TYPE_CHECKING:
    from tenants.models import Tenant

LIFE_S = 30.0
LIFE_OF_NOBODY_S = 5.0
"""How long a tenant, or that there is none, is remembered: a limit to the harm, should main's word not arrive."""

MOST_TENANTS = 5_000
MOST_NOBODIES = 1_000
"""Counted apart, or whoever asks for slugs at random would push the tenants out."""


@dataclass(frozen=True)
class _Kept:
    tenant: Tenant | None
    until: float


def _copy_of(tenant: Tenant) -> Tenant:
    """What ``copy.copy`` gives, in a third of the time: that goes by way of a pickle."""
    twin = tenant.__class__.__new__(tenant.__class__)
    twin.__dict__.update(tenant.__dict__)
    twin._state = ModelState()
    twin._state.__dict__.update(tenant._state.__dict__, fields_cache=tenant._state.fields_cache.copy())
    return twin


class TenantCache:
    """What look-ups of slugs found. It is shut until somebody hears what changes in main; shut, it keeps nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, _Kept] = OrderedDict()
        self._nobodies: OrderedDict[str, _Kept] = OrderedDict()
        self._is_open = False
        self._changes = 0
        """The race: a tenant changes after a look-up has read it, and the word comes before the look-up is kept."""

    def open(self) -> None:
        """From here on every change is heard of."""
        self._is_open = True

    def shut(self) -> None:
        self._is_open = False
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._changes += 1
            self._tenants.clear()
            self._nobodies.clear()

    def drop(self, slugs: Iterable[str]) -> None:
        """Forget what was found for these slugs."""
        with self._lock:
            self._changes += 1
            for slug in slugs:
                self._tenants.pop(slug, None)
                self._nobodies.pop(slug, None)

    def look_up(self, slug: str, query: Callable[[], Tenant | None]) -> Tenant | None:
        """The tenant of a slug, or None: what is remembered, or else what ``query`` gives. Each caller gets its own."""
        with self._lock:
            kept = self._tenants.get(slug) or self._nobodies.get(slug)
            may_be_kept, changes = self._is_open, self._changes
        if kept is not None and time.monotonic() < kept.until:
            return kept.tenant and _copy_of(kept.tenant)
        tenant = query()
        with self._lock:
            if may_be_kept and changes == self._changes:
                self._keep(slug, tenant)
        return tenant

    def _keep(self, slug: str, tenant: Tenant | None) -> None:
        kept, most, life_s = (
            (self._tenants, MOST_TENANTS, LIFE_S) if tenant else (self._nobodies, MOST_NOBODIES, LIFE_OF_NOBODY_S)
        )
        kept[slug] = _Kept(tenant and _copy_of(tenant), time.monotonic() + life_s)
        kept.move_to_end(slug)
        if len(kept) > most:
            kept.popitem(last=False)
