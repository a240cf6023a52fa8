"""Which tenants a command speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from tenants.errors import RolloutRefusedError
from tenants.models import RolloutAttempt, Server, Tenant

IN_FLEET = (Tenant.State.ACTIVE, Tenant.State.SUSPENDED)
"""Tenants that have a database. One that is being made is brought to the fleet's head before it is served."""


@dataclass(frozen=True)
class Selection:
    """All tenants, less what each of these leaves out."""

    slugs: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    server: str | None = None
    only_failed: bool = False

    @property
    def is_whole_fleet(self) -> bool:
        return self == Selection()

    def tenants(self) -> list[Tenant]:
        """The selected tenants, by slug. Raises ``RolloutRefusedError`` for a name that nothing has."""
        self._refuse_unknown_names()
        return list(self._found())

    def newcomers(self, known: Set[UUID]) -> list[Tenant]:
        """Those in service that are selected now and were not ``known``. Nearly always none: so ids are asked first."""
        found = self._found().filter(state=Tenant.State.ACTIVE)
        new = set(found.values_list("pk", flat=True)) - known
        return list(found.filter(pk__in=new)) if new else []

    def _found(self) -> QuerySet[Tenant]:
        found = Tenant.objects.filter(state__in=IN_FLEET).select_related("server").order_by("slug")
        if self.slugs:
            found = found.filter(slug__in=self.slugs)
        if self.excluded:
            found = found.exclude(slug__in=self.excluded)
        for key, value in self.labels:
            found = found.filter(labels__contains={key: value})
        if self.server is not None:
            found = found.filter(server__name=self.server)
        if self.only_failed:
            found = found.filter(pk__in=_failed_last())
        return found

    def settled(self, tenants: Iterable[Tenant]) -> Selection:
        """The same for a rollout that has begun with these tenants: who has failed is another question from then on."""
        slugs = tuple(tenant.slug for tenant in tenants)
        return replace(self, slugs=slugs, only_failed=False) if self.only_failed and slugs else self

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value}

    def _refuse_unknown_names(self) -> None:
        wanted = {*self.slugs, *self.excluded}
        known = set(Tenant.objects.filter(slug__in=wanted, state__in=IN_FLEET).values_list("slug", flat=True))
        if wanted - known:
            raise RolloutRefusedError(f"no tenant has the slug {', '.join(sorted(wanted - known))}; see `tenants list`")
        if self.server is not None and not Server.objects.filter(name=self.server).exists():
            raise RolloutRefusedError(f"no server is named {self.server!r}")


def _failed_last() -> QuerySet[RolloutAttempt, Any]:
    """Ids of the tenants whose last attempt failed, in whichever rollout that was; a skipped one is no attempt."""
    tried = RolloutAttempt.objects.filter(tenant=OuterRef("tenant")).exclude(state=RolloutAttempt.State.SKIPPED)
    last = tried.order_by("-pk").values("pk")[:1]
    failed = RolloutAttempt.objects.filter(state=RolloutAttempt.State.FAILED, tenant__isnull=False)
    return failed.filter(pk=Subquery(last)).values("tenant")
