"""Taking a rollout back: each tenant that it advanced to where that stood before, and no other.

Which tenants these are, their own databases say, in the footprint that commits with each migration; so a rollout whose
process was killed before it wrote the ledger is taken back as well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.db.models import F, Q

from tenants.databases.bookkeeping import Facts, MigrationKey
from tenants.errors import MovedOnError, RolloutRefusedError
from tenants.models import Installation, Rollout, RolloutAttempt, Tenant
from tenants.rollout.footprint import Footprint
from tenants.rollout.ledger import find_rollout, parts_of
from tenants.rollout.plan import Node
from tenants.rollout.program import Program, Programs
from tenants.rollout.request import Request
from tenants.rollout.resume import origin_of, request_of
from tenants.rollout.selection import IN_FLEET, Selection
from tenants.rollout.survey import Group, GroupPlan, Survey, look_at
from tenants.rollout.target import Before


@dataclass(frozen=True)
class Rollback:
    """What taking a rollout back would do. ``skipped`` has slugs and why; ``request`` is None where there is nothing.

    The survey's failures are tenants that cannot be asked, whether the rollout advanced them or not.
    """

    rollout: Rollout
    title: str
    survey: Survey
    skipped: tuple[tuple[str, str], ...]
    request: Request | None
    seconds: float


def plan_rollback(rollout_id: str) -> Rollback:
    """Ask the tenants what the rollout did to them. Changes nothing.

    A rollout and those that went on with it (``--resume``) are taken back as one. Raises ``UnknownRolloutError``, and
    ``RolloutRefusedError`` where a migration cannot be taken back.
    """
    asked = time.perf_counter()
    rollout = find_rollout(rollout_id)
    target = Before(origin_of(rollout))
    advanced = _advanced_in_ledger(target)
    tenants = _in_reach(rollout, advanced)
    in_service = [tenant for tenant in tenants if tenant.state == Tenant.State.ACTIVE]
    found, failures = look_at(in_service, workers=rollout.options["workers"])
    theirs = [(tenant, facts) for tenant, facts in found.values() if tenant.pk in advanced or _began(target, facts)]

    groups, skipped = _grouped(theirs, target)
    skipped += [(one.slug, f"it is {one.state}") for one in tenants if one not in in_service and one.pk in advanced]
    if groups and _moved_fleet(target):
        target = replace(target, fleet=groups[0].goal)
    known = {one.slug for one in tenants if one.pk in advanced}
    silent = [failed.tenant for failed in failures if failed.tenant in known]
    slugs = sorted([*(slug for group in groups for slug in group.slugs), *(slug for slug, _ in skipped), *silent])
    survey = Survey(tuple(group.plan for group in groups), (), tuple(failures))
    request = _request(rollout, target, slugs) if slugs else None
    return Rollback(rollout, target.title, survey, tuple(sorted(skipped)), request, time.perf_counter() - asked)


@dataclass
class _Group:
    """Tenants that go back from the same head to the same head."""

    program: Program
    goal: tuple[Node, ...]
    applied: tuple[MigrationKey, ...]
    tenants: list[Tenant] = field(default_factory=list)
    unfinished: int = 0

    @property
    def slugs(self) -> list[str]:
        return [tenant.slug for tenant in self.tenants]

    @property
    def plan(self) -> GroupPlan:
        group = Group(self.applied, self.tenants)
        return GroupPlan(group, self.program.migrations, self.program.replacements, self.unfinished)


def _grouped(theirs: list[tuple[Tenant, Facts]], target: Before) -> tuple[list[_Group], list[tuple[str, str]]]:
    """The groups, the largest first, and who has moved on since. Raises ``RolloutRefusedError``."""
    programs = Programs(target, origin=target.origin_of_rollback)
    groups: dict[int, _Group] = {}
    skipped: list[tuple[str, str]] = []
    for tenant, facts in theirs:
        try:
            program = programs.for_database(facts)
        except MovedOnError as error:
            skipped.append((tenant.slug, error.detail))
            continue
        except Exception as error:
            raise RolloutRefusedError(f"{tenant.slug} cannot be taken back: {error}", tenant=tenant.slug) from error
        footprint = Footprint.noted_in(facts)
        assert footprint is not None  # or it would have moved on
        goal = footprint.before if footprint.origin == target.origin else footprint.goal
        group = groups.setdefault(id(program), _Group(program, goal, facts.applied))
        group.tenants.append(tenant)
        group.unfinished += facts.post_migrate_due
    return sorted(groups.values(), key=lambda group: (-len(group.tenants), group.slugs)), skipped


def _began(target: Before, facts: Facts) -> bool:
    """Whether the rollout, or an earlier try to take it back, was the last to change the database."""
    footprint = Footprint.noted_in(facts)
    if footprint is None or not footprint.before:
        return False
    return footprint.origin in {target.origin, target.origin_of_rollback}


def _advanced_in_ledger(target: Before) -> set[UUID]:
    """Ids of the tenants that the ledger says were changed. It may lack some, if the process was killed."""
    attempts = RolloutAttempt.objects.filter(rollout__in=parts_of(target.origin), tenant__isnull=False)
    return set(attempts.exclude(applied=[]).values_list("tenant_id", flat=True))


def _in_reach(rollout: Rollout, advanced: set[UUID]) -> list[Tenant]:
    """The tenants that the rollout may have changed: those it named, or the whole fleet."""
    fleet = Tenant.objects.filter(state__in=IN_FLEET).select_related("server").order_by("slug")
    named = rollout.options.get("selection", {}).get("slugs")
    return list(fleet.filter(Q(slug__in=named) | Q(pk__in=advanced)) if named else fleet)


def _moved_fleet(target: Before) -> bool:
    """Whether new tenants are made where the rollout, and no later one, has moved the fleet's head."""
    here = parts_of(target.origin).filter(fleet_after=Installation.current().head_key)
    return here.exclude(fleet_after="").exclude(fleet_before=F("fleet_after")).exists()


def _request(rollout: Rollout, target: Before, slugs: list[str]) -> Request:
    """With the workers, limits and brake of the rollout that is taken back; and faked, if that was."""
    return replace(
        request_of(rollout, target),
        selection=Selection(slugs=tuple(slugs)),
        asked=(None, None),
        canary=None,
        waves=(),
        origin=target.origin_of_rollback,
    )
