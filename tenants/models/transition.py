"""A change of state that is allowed; what is in no table of these raises ``TransitionError``."""

from __future__ import annotations

from typing import NamedTuple


class Transition(NamedTuple):
    """From one state to another, who may, and why."""

    source: str
    target: str
    by: str
    why: str
