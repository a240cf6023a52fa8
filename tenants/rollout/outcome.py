"""What became of one database in a rollout, and what an error on its connection means."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from tenants.databases import bookkeeping
from tenants.databases.refusal import why_refused
from tenants.databases.sessions import Database, sqlstate_of
from tenants.models.rollout import AttemptState
from tenants.rollout.heads import Head, head_of
from tenants.rollout.policy import Verdict, verdict_on
from tenants.routing.backend.base import DatabaseWrapper


@dataclass(frozen=True)
class Failure:
    """Why a database is not where it should be. ``migration`` is app.name; ``sqlstate`` is None where there is none."""

    migration: str | None
    sqlstate: str | None
    error: str
    message: str
    traceback: str


@dataclass(frozen=True)
class Outcome:
    """What became of one database. ``steps`` are the migrations carried out, as app.name; ``before`` was applied first.

    ``before`` is empty where it could not be asked, ``applied`` where it failed or was not asked.
    """

    state: AttemptState
    steps: tuple[str, ...] = ()
    before: tuple[bookkeeping.MigrationKey, ...] = ()
    applied: tuple[bookkeeping.MigrationKey, ...] = ()
    failure: Failure | None = None
    attempts: int = 1
    seconds: float = 0.0
    reason: str = ""
    verdict: Verdict = Verdict.FINAL

    @property
    def may_pass(self) -> bool:
        """Whether another try may end otherwise."""
        return self.verdict.is_setback or self.verdict in {Verdict.CROWDED, Verdict.DOWN}

    @property
    def head(self) -> Head:
        return head_of(self.applied)


class InMigrationError(Exception):
    """Carries which migration failed, as app.name; the error itself is its cause."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.title = title


def failed_with(error: BaseException, database: Database, connection: DatabaseWrapper) -> Outcome:
    """What an error on an owner's connection means: what really went wrong, and whether another try may do better."""
    cause = _cause_of(error, database, connection)
    return Outcome(AttemptState.FAILED, failure=describe(error, cause), verdict=verdict_on(cause, connection))


def describe(error: BaseException, cause: BaseException | None = None) -> Failure:
    """An error as it is reported; ``cause`` is what really went wrong, where that is another."""
    cause = cause or error
    return Failure(
        migration=error.title if isinstance(error, InMigrationError) else None,
        sqlstate=sqlstate_of(cause),
        error=type(cause).__name__,
        message=_as_text(str(cause).strip()),
        traceback=_as_text("".join(traceback.format_exception(error))),
    )


def _cause_of(error: BaseException, database: Database, connection: DatabaseWrapper) -> BaseException:
    """What really went wrong: behind a failed connect, that the database has gone, is closed, or its server is down."""
    if isinstance(error, InMigrationError):
        return error.__cause__ or error
    return why_refused(database, connection, error) or error


def _as_text(message: str) -> str:
    """Without lone surrogates, such as those of a file's name that is no UTF-8: neither main nor stdout takes them."""
    return message.encode(errors="backslashreplace").decode()
