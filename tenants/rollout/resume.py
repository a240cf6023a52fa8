"""Going on with a rollout that was cut off, as it was asked for."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import CharField
from django.db.models.functions import Cast

from tenants.databases.sessions import SessionLimits
from tenants.errors import RolloutRefusedError
from tenants.models import Rollout
from tenants.rollout.policy import MaxFailures
from tenants.rollout.request import Request
from tenants.rollout.selection import Selection
from tenants.rollout.target import resolve
from tenants.rollout.waves import Canary, parse_waves
from tenants.rollout.worker import WorkOptions


def request_again(rollout_id: str) -> Request:
    """The request of a rollout, by its id, the beginning of one, or "" for the last.

    A step such as ``-1`` is not taken twice: each tenant's own database says where this rollout was bringing it. Raises
    ``RolloutRefusedError`` where there is no such rollout.
    """
    rollout = _find(rollout_id)
    asked = rollout.options
    selection = asked.get("selection", {})
    return Request(
        target=resolve(asked.get("app_label"), asked.get("migration")),
        asked=(asked.get("app_label"), asked.get("migration")),
        selection=Selection(
            slugs=tuple(selection.get("slugs", ())),
            excluded=tuple(selection.get("excluded", ())),
            labels=tuple((key, value) for key, value in selection.get("labels", ())),
            server=selection.get("server"),
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
        origin=asked.get("origin") or str(rollout.pk),
    )


def _find(rollout_id: str) -> Rollout:
    rollouts = Rollout.objects.order_by("-started_at")
    if not rollout_id:
        last = rollouts.first()
        if last is None:
            raise RolloutRefusedError("there is no rollout to go on with")
        return last
    try:
        fitting = list(rollouts.filter(pk=UUID(rollout_id)))
    except (ValueError, ValidationError):
        fitting = list(rollouts.annotate(text=Cast("id", CharField())).filter(text__startswith=rollout_id.lower())[:2])
    if len(fitting) != 1:
        raise RolloutRefusedError(
            f"{'no' if not fitting else 'more than one'} rollout is {rollout_id!r}; see `manage.py tenants history`"
        )
    return fitting[0]
