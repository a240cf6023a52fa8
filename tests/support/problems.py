"""What a problem document says."""

from __future__ import annotations

from typing import Any


def wrong_fields(reply: Any) -> set[str | None]:
    """The fields that it complains of; None stands for the request as a whole."""
    return {one["field"] for one in reply.json()["errors"]}
