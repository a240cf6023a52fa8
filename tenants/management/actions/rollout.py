"""``tenants rollout``: pause the rollout that is running, go on with it, or abort it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

from django.core.management.base import CommandParser

from tenants.models import Rollout
from tenants.rollout.control import abort, active_or, go_on, pause
from tenants.rollout.process import os_user

HELP = "Pause the active rollout, go on with it, or abort it. Tenants in hand are brought to their target first."

ORDERS: dict[str, tuple[Callable[..., None], str]] = {
    "pause": (pause, "is paused: it begins no more tenants; `manage.py tenants rollout continue` goes on with it"),
    "continue": (go_on, "goes on"),
    "abort": (abort, "is aborted: it begins no more tenants, and ends; `manage.py migrate_tenants --resume` goes on"),
}


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("order", choices=ORDERS, metavar="|".join(ORDERS))
    parser.add_argument(
        "id", nargs="?", default="", metavar="ID", help="Its id, or the beginning (default: the active)."
    )


def run(options: dict[str, Any], out: TextIO) -> int:
    tell, outcome = ORDERS[options["order"]]
    rollout: Rollout = active_or(options["id"])
    tell(rollout, by=os_user())
    out.write(f"{rollout} {outcome}\n")
    return 0
