"""Argument types that commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.core.management.base import CommandParser

Parsed = TypeVar("Parsed")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|h)")
_UNIT_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}


def add_format(parser: CommandParser | argparse._ArgumentGroup) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text", help="Of the result on stdout.")


def key_value(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def duration(text: str) -> timedelta:
    """``500ms``, ``2s``, ``15min``, ``1h``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 500ms, 2s, 15min or 1h")
    return timedelta(milliseconds=float(match[1]) * _UNIT_MS[match[2]])


def parsed_by(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    """An argument type of a parser that raises ``ValueError`` and says why."""

    def argument(text: str) -> Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return argument
