"""Waiting for what another thread or process does: asked again and again, never slept for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from tenants.databases.sessions import poll

PATIENCE = timedelta(seconds=30)


def wait_until(holds: Callable[[], object]) -> None:
    """Return as soon as it is true; fail the test where it does not come true."""
    assert poll(lambda: bool(holds()), PATIENCE), "it did not come true"
