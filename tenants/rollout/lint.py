"""What in a plan's SQL breaks code that is still running, or is unsafe: asked of linters that others keep up.

django-migration-linter tells what running code does not get along with, by its checks for PostgreSQL. squawk knows
PostgreSQL's grammar and more of its dangers; it is a program, and is asked where it is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlparse

if TYPE_CHECKING:
    from django_migration_linter.sql_analyser.base import Issue

SQUAWK_TIMEOUT_S = 30

NOT_OURS = frozenset(
    {
        # The sessions that migrate have both from their first statement on.
        "require-lock-timeout",
        "require-statement-timeout",
        # A migration is recorded with its DDL, so it is never run on what is half done.
        "prefer-robust-stmts",
        # PostgreSQL itself says so, when the migration is tried.
        "ban-concurrent-index-creation-in-transaction",
        # Whether the table is rewritten is measured, and django-migration-linter warns of another type.
        "changing-column-type",
        # Which types a model has is a matter of the model, and of taste.
        "prefer-bigint-over-int",
        "prefer-bigint-over-smallint",
        "prefer-identity",
        "prefer-text-field",
        "prefer-timestamp-tz",
    }
)
"""Rules of squawk that do not apply here. Source: https://squawkhq.com/docs/rules."""


@dataclass(frozen=True)
class Finding:
    """``code`` is the linter's own; ``breaks_running_code`` is known of django-migration-linter's only."""

    linter: str
    code: str
    message: str
    breaks_running_code: bool = False


@dataclass(frozen=True)
class Linted:
    """``findings`` by operation, as the SQL was given; ``notes`` say why a linter could not be asked."""

    findings: list[tuple[Finding, ...]]
    notes: tuple[str, ...] = ()


def check(operations: Sequence[Sequence[str]], *, pg_version: int) -> Linted:
    """Lint the statements of each operation of a plan. ``pg_version`` is as libpq has it, such as 180001."""
    found = _ask_migration_linter(operations)
    try:
        by_squawk = _ask_squawk(operations, pg_version)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Linted([tuple(one) for one in found], (f"squawk could not be asked: {error}",))
    return Linted([tuple(dict.fromkeys([*one, *other])) for one, other in zip(found, by_squawk, strict=True)])


def _ask_migration_linter(operations: Sequence[Sequence[str]]) -> list[list[Finding]]:
    # Imported here: it takes 10 to 25 ms, which commands that lint nothing need not wait for.
    from django_migration_linter.sql_analyser import analyse_sql_statements, get_sql_analyser_class

    found: list[list[Finding]] = []
    created: list[str] = []
    for statements in operations:
        # It looks for keywords in capitals, and at one line at a time.
        written = [" ".join(sqlparse.format(one, keyword_case="upper").split()) for one in statements]
        # It asks whether a table was made before; making one is no finding itself.
        breaking, _, unsafe = analyse_sql_statements(get_sql_analyser_class("postgresql"), [*created, *written])
        found.append([_as_finding(issue, breaks_running_code=True) for issue in breaking])
        found[-1] += [_as_finding(issue, breaks_running_code=False) for issue in unsafe]
        created += [statement for statement in written if statement.startswith("CREATE TABLE")]
    return found


def _as_finding(issue: Issue, *, breaks_running_code: bool) -> Finding:
    where = ".".join(part for part in (issue.table, issue.column) if part)
    message = f"{issue.message} ({where})" if where else issue.message
    return Finding("django-migration-linter", issue.code, message, breaks_running_code)


def _ask_squawk(operations: Sequence[Sequence[str]], pg_version: int) -> list[list[Finding]]:
    """What squawk finds; nothing where it is not installed."""
    found: list[list[Finding]] = [[] for _ in operations]
    program = _squawk()
    if program is None:
        return found
    script, operation_of_line = _as_script(operations)
    done = subprocess.run(
        # In one transaction, it knows which tables were made just before.
        [program, "--reporter", "json", "--assume-in-transaction", "--pg-version", f"{pg_version // 10000}.0"],
        input=script,
        capture_output=True,
        text=True,
        timeout=SQUAWK_TIMEOUT_S,
        check=False,
    )
    if not done.stdout:
        raise ValueError(done.stderr.strip() or f"it ended with {done.returncode} and said nothing")
    for one in json.loads(done.stdout):
        if one["rule_name"] not in NOT_OURS:
            message = " ".join(filter(None, (one["message"], one["help"])))
            found[operation_of_line[one["line"]]].append(Finding("squawk", one["rule_name"], message))
    return found


def _squawk() -> str | None:
    """The program beside this Python, where pip puts it, or else on PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("squawk", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))


def _as_script(operations: Sequence[Sequence[str]]) -> tuple[str, list[int]]:
    """All statements as one text, and for each of its lines which operation it belongs to."""
    lines: list[str] = []
    operation_of_line: list[int] = []
    for number, statements in enumerate(operations):
        for statement in statements:
            of_statement = [*statement.split("\n"), ";"]
            lines += of_statement
            operation_of_line += [number] * len(of_statement)
    return "\n".join(lines), operation_of_line
