"""What a rollout leaves in a tenant's own database, so that it can be gone on with, and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from tenants.databases.bookkeeping import Facts, MigrationKey
from tenants.rollout.disk import on_disk
from tenants.rollout.heads import key_of
from tenants.rollout.plan import Node

FOOTPRINT = "rollout"
"""The note's name. It commits with the record of each migration, so the ledger in main is never needed to know it."""


@dataclass(frozen=True)
class Footprint:
    """The last rollout that changed a database: where that stood before, where it is going, and where it was left.

    ``origin`` is the rollout's id, or that of the one it goes on with. ``before`` and ``goal`` have for each app its
    migration, or None for before its first; ``left`` is a key of the applied migrations. In a tenant that was cloned
    from what a rollout left, ``before`` is empty: that goes on with it as the others do, and is not taken back.
    """

    origin: str
    before: tuple[Node, ...]
    goal: tuple[Node, ...]
    left: str = ""

    @classmethod
    def noted_in(cls, facts: Facts) -> Footprint | None:
        """What the last rollout noted; None where none has changed this database."""
        noted = facts.notes.get(FOOTPRINT)
        if noted is None:
            return None
        values = json.loads(noted)
        return cls(values["origin"], _nodes(values["before"]), _nodes(values["goal"]), values["left"])

    def at(self, applied: Iterable[MigrationKey]) -> Footprint:
        """The footprint once the database has these applied."""
        return replace(self, left=_key_left(applied))

    def in_clone(self) -> Footprint:
        """The footprint in a tenant that is made of a template which has this one."""
        return replace(self, before=())

    def is_last_in(self, facts: Facts) -> bool:
        """Whether nothing has moved the database since."""
        return self.left == _key_left(facts.applied)

    def as_note(self) -> str:
        return json.dumps(asdict(self))


def _nodes(values: list[tuple[str, str | None]]) -> tuple[Node, ...]:
    return tuple((app, name) for app, name in values)


def _key_left(applied: Iterable[MigrationKey]) -> str:
    # A squashed migration may be recorded later, beside those it replaces: that moves nothing.
    return key_of(tuple(key for key in applied if key not in on_disk().replacements))
