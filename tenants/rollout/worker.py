"""Brings one database to a target. It may be killed between any two lines: what is recorded is done, and no more.

Each migration is one transaction: its DDL, its deferred SQL and its record commit together, or not at all. So a second
worker, a redelivered task or a rerun does no harm: it reads the database and does what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.db import transaction

from tenants.databases import bookkeeping
from tenants.databases.bookkeeping import Facts, Writer
from tenants.databases.refusal import why_refused
from tenants.databases.sessions import (
    LOCK_WAIT,
    Database,
    SessionLimits,
    owner_session,
    take_change_lock,
)
from tenants.errors import MovedOnError, WrongTenantError
from tenants.models.rollout import AttemptState
from tenants.rollout import signals, steps
from tenants.rollout.footprint import FOOTPRINT
from tenants.rollout.outcome import InMigrationError, Outcome, failed_with
from tenants.rollout.policy import MAX_TRIES, Verdict, pause_before
from tenants.rollout.program import PreparedMigration, Program, Programs, apps_of, recorded_after, recorded_names
from tenants.rollout.script import RecordingEditor
from tenants.routing.backend.base import DatabaseWrapper


def always() -> bool:
    return True


@dataclass(frozen=True)
class WorkOptions:
    """How a database is brought to its target. ``may_go_on`` is asked before each migration, in any thread."""

    limits: SessionLimits = field(default_factory=SessionLimits)
    lock_wait: timedelta = LOCK_WAIT
    fake: bool = False
    interactive: bool = False
    application_name: str = "silo"
    may_go_on: Callable[[], bool] = always


class _StoppedError(Exception):
    """There are more migrations, and no more are to be begun."""


def bring(database: Database, programs: Programs, options: WorkOptions | None = None) -> Outcome:
    """Bring one database to the programs' target, and say what became of it. Never raises for a database's own fault.

    Tries again only after errors that may pass (see ``policy``). Main is never asked.
    """
    outcome = try_once(database, programs, options)
    while outcome.may_pass and outcome.attempts < MAX_TRIES:
        time.sleep(pause_before(outcome.attempts + 1))
        outcome = try_once(database, programs, options, before=outcome)
    return outcome


def try_once(
    database: Database, programs: Programs, options: WorkOptions | None = None, *, before: Outcome | None = None
) -> Outcome:
    """One try at what ``bring`` does; ``before`` is what became of the tries so far."""
    options = options or WorkOptions()
    began = time.perf_counter()
    done = list(before.steps) if before else []
    looks: list[Facts] = []
    with owner_session(database, limits=options.limits, application_name=options.application_name) as connection:
        try:
            outcome = _bring_once(database, connection, programs, options, looks, done)
        except _StoppedError as stopped:
            outcome = Outcome(AttemptState.SKIPPED, reason=f"stopped before {stopped}", verdict=Verdict.STOPPED)
        except MovedOnError as error:
            outcome = Outcome(AttemptState.SKIPPED, reason=error.detail)
        except (Exception, SystemExit) as error:
            outcome = failed_with(error, database, connection)
    return replace(
        outcome,
        steps=tuple(done),
        before=(before.before if before else ()) or (looks[0].applied if looks else ()),
        attempts=(before.attempts if before else 0) + 1,
        seconds=(before.seconds if before else 0.0) + time.perf_counter() - began,
    )


def look(database: Database, limits: SessionLimits | None = None) -> Facts:
    """What a database says of itself. Changes nothing and takes no lock.

    Raises ``DatabaseMissingError`` where it has gone, ``WrongTenantError`` where it is another tenant's.
    """
    with owner_session(database, limits=limits or SessionLimits(read_only=True)) as connection:
        try:
            return _read(database, connection)
        except Exception as error:
            refusal = why_refused(database, connection, error)
            if refusal is None:
                raise
            raise refusal from error


def _bring_once(
    database: Database,
    connection: DatabaseWrapper,
    programs: Programs,
    options: WorkOptions,
    looks: list[Facts],
    done: list[str],
) -> Outcome:
    facts = _read(database, connection)
    looks.append(facts)
    program = programs.for_database(facts)
    if program or facts.post_migrate_due:
        take_change_lock(connection, wait=options.lock_wait)
        # Whoever had the lock may have done some of it, or all.
        facts = _read(database, connection)
        program = programs.for_database(facts)
    if not program and not facts.post_migrate_due:
        return Outcome(AttemptState.MIGRATED if done else AttemptState.UP_TO_DATE, applied=facts.applied)
    run(connection, program, facts, options, on_step=done.append)
    if facts.cut_off is not None:
        # Perhaps only that was finished; the lock is still ours.
        return _bring_once(database, connection, programs, options, looks, done)
    after = recorded_after(facts.applied, program.plan)
    return Outcome(AttemptState.MIGRATED, applied=(*after, *program.replacements))


def run(
    connection: DatabaseWrapper,
    program: Program,
    facts: Facts,
    options: WorkOptions,
    *,
    on_step: Callable[[str], Any] = lambda title: None,
) -> None:
    """Carry out a program on the owner's connection, which holds the lock. ``on_step`` hears of each migration done."""
    alias = connection.alias
    if program.migrations:
        signals.send_pre_migrate(alias, program, interactive=options.interactive)
    for prepared in program.migrations:
        if not options.may_go_on():
            raise _StoppedError(prepared.title)
        try:
            _migrate(connection, prepared, facts, fake=options.fake)
        except (Exception, SystemExit) as error:
            # SystemExit: a migration that calls sys.exit() has failed; it must not end a worker without a word.
            raise InMigrationError(prepared.title) from error
        on_step(prepared.title)
    with connection.cursor() as cursor:
        for key in program.replacements:
            bookkeeping.record_applied(cursor, key)
    if program.migrations or facts.post_migrate_due:
        if program.apps_after is not None:
            signals.send_post_migrate(alias, program, interactive=options.interactive)
        else:
            _send_late_post_migrate(alias, facts)
        with connection.cursor() as cursor:
            bookkeeping.erase_late(cursor, bookkeeping.POST_MIGRATE_DUE)


def _migrate(connection: DatabaseWrapper, prepared: PreparedMigration, facts: Facts, *, fake: bool) -> None:
    if prepared.migration.atomic and not fake:
        if facts.cut_off is not None:
            _migrate_rewritten(connection, prepared)
        elif not prepared.script.replay(connection):
            _migrate_as_django(connection, prepared)
        return
    if not fake:
        steps.migrate_in_steps(connection, prepared, facts)
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        _record(cursor, prepared)
        bookkeeping.erase(cursor, bookkeeping.STEP)


def _migrate_as_django(connection: DatabaseWrapper, prepared: PreparedMigration) -> None:
    """Carry out the operations in one transaction with their record, and take the SQL down for the group's others.

    Django runs deferred SQL (keys, indexes) when the editor is left, and records after that; a kill in between leaves
    DDL without its record, and the next run fails with "already exists".
    """
    with RecordingEditor(connection, prepared.migration.operations) as editor:
        for step in prepared.operations:
            prepared.run(step, editor)
        steps.run_deferred(editor)
        _record(editor, prepared)
    prepared.script.keep(connection, editor)


def _migrate_rewritten(connection: DatabaseWrapper, prepared: PreparedMigration) -> None:
    """Carry out what was cut off when it was non-atomic, and is atomic now: how far it was goes with its record.

    The note would outlive it, and have every later rollout finish what is finished, and do nothing else.
    """
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        bookkeeping.erase(cursor, bookkeeping.STEP)
        _migrate_as_django(connection, prepared)


def _record(writer: Writer, prepared: PreparedMigration) -> None:
    """Record the migration, whose doing it is, and that ``post_migrate`` is due, which a kill must not lose."""
    record = bookkeeping.record_unapplied if prepared.backwards else bookkeeping.record_applied
    for key in recorded_names(prepared.migration):
        record(writer, key)
    bookkeeping.note(writer, bookkeeping.POST_MIGRATE_DUE)
    if prepared.footprint is not None:
        bookkeeping.note(writer, FOOTPRINT, prepared.footprint)


def _send_late_post_migrate(alias: str, facts: Facts) -> None:
    program = Program((), (), (), None, apps_of(facts.applied))
    signals.send_post_migrate(alias, program)


def _read(database: Database, connection: DatabaseWrapper) -> Facts:
    """What the database says of itself; raises ``WrongTenantError`` where it says that it is another tenant's."""
    facts = bookkeeping.read(connection)
    _refuse_other_tenants(database, facts)
    return facts


def _refuse_other_tenants(database: Database, facts: Facts) -> None:
    owner = getattr(database, "id", None)
    if facts.tenant_id is not None and facts.tenant_id != str(owner):
        raise WrongTenantError(f"{database.alias} holds the data of tenant {facts.tenant_id}", alias=database.alias)
