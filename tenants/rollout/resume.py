"""Going on with a rollout that was cut off, as it was asked for."""

from __future__ import annotations

from datetime import timedelta

from tenants.databases.sessions import SessionLimits
from tenants.models import Rollout
from tenants.rollout.ledger import find_rollout
from tenants.rollout.policy import MaxFailures
from tenants.rollout.request import Request
from tenants.rollout.selection import Selection
from tenants.rollout.target import Before, Target, resolve
from tenants.rollout.waves import Canary, parse_waves
from tenants.rollout.worker import WorkOptions


def request_again(rollout_id: str) -> Request:
    """The request of a rollout, by its id, the beginning of one, or "" for the last.

    A step such as ``-1`` is not taken twice: each tenant's own database says where this rollout was bringing it. Raises
    ``UnknownRolloutError`` where there is no such rollout.
    """
    rollout = find_rollout(rollout_id)
    asked = rollout.options
    back = asked.get("rolls_back")
    if back:
        target: Target = Before(back["origin"], tuple((app, name) for app, name in back["fleet"]))
    else:
        target = resolve(asked.get("app_label"), asked.get("migration"))
    return request_of(rollout, target)


def origin_of(rollout: Rollout) -> str:
    """The rollout's id, or that of the one it went on with: what its footprints say."""
    return str(rollout.options.get("origin") or rollout.pk)


def request_of(rollout: Rollout, target: Target) -> Request:
    """The request of a rollout, with another target."""
    asked = rollout.options
    selection = asked.get("selection", {})
    return Request(
        target=target,
        asked=(asked.get("app_label"), asked.get("migration")),
        selection=Selection(
            slugs=tuple(selection.get("slugs", ())),
            excluded=tuple(selection.get("excluded", ())),
            labels=tuple((key, value) for key, value in selection.get("labels", ())),
            server=selection.get("server"),
            only_failed=selection.get("only_failed", False),
        ),
        workers=asked["workers"],
        on_error=asked["on_error"],
        max_failures=MaxFailures.parse(asked["max_failures"]) if asked.get("max_failures") else None,
        canary=Canary.parse(asked["canary"]) if asked.get("canary") else None,
        waves=parse_waves(asked["waves"]) if asked.get("waves") else (),
        work=WorkOptions(
            limits=SessionLimits(
                lock_timeout=timedelta(milliseconds=asked["lock_timeout_ms"]),
                statement_timeout=timedelta(milliseconds=asked["statement_timeout_ms"]),
            ),
            fake=asked["fake"],
        ),
        origin=origin_of(rollout),
    )
