"""How a rollout goes about its work: the options for it, and the request that they make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.core.management.base import CommandParser

from tenants.management.arguments import duration, parsed_by, positive
from tenants.rollout.policy import MaxFailures
from tenants.rollout.request import DEFAULT_WORKERS, Request
from tenants.rollout.waves import Canary, parse_waves

OF_REQUEST = ("workers", "on_error", "max_failures", "canary", "waves")
OF_LIMITS = ("lock_timeout", "statement_timeout")


def add_manner(parser: CommandParser) -> None:
    """In which order, how fast, and what follows an error."""
    how = parser.add_argument_group("how")
    how.add_argument(
        "--on-error",
        choices=("stop", "continue"),
        help="stop: begin no more tenants after a failure (default). continue: until --max-failures, or else until "
        "3 equal errors in a row or over 2%% failed once 50 were tried.",
    )
    how.add_argument(
        "--max-failures",
        type=parsed_by(MaxFailures.parse),
        metavar="N|N%",
        help="Begin no more once more than these have failed.",
    )
    how.add_argument(
        "--canary",
        type=parsed_by(Canary.parse),
        metavar="N|N%|SLUG,...",
        help="Migrate these first, the smallest databases, or the named; go on only if all of them succeed.",
    )
    how.add_argument(
        "--waves",
        type=parsed_by(parse_waves),
        metavar="5%,25%,100%",
        help="Migrate in waves, each up to this share of all; the next begins when the last has ended well.",
    )
    how.add_argument("--workers", type=positive, metavar="N", help=f"Tenants at a time (default {DEFAULT_WORKERS}).")
    how.add_argument(
        "--lock-timeout",
        type=duration,
        metavar="2s",
        help="How long a statement may wait for a lock; live queries never queue behind it longer (default 2s).",
    )
    how.add_argument(
        "--statement-timeout",
        type=duration,
        metavar="15min",
        help="How long a statement may run (default 15min).",
    )


def in_the_manner_of(options: dict[str, Any], request: Request) -> Request:
    """The request with what was said on the command line; where nothing was, it stays as it is."""
    limits = replace(request.work.limits, **_said(options, OF_LIMITS))
    work = replace(request.work, limits=limits, interactive=options["interactive"])
    return replace(request, **_said(options, OF_REQUEST), work=work)


def _said(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name] is not None}
