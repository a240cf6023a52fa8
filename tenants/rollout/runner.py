"""Runs a rollout over the fleet: template first, then tenants in threads, then those that were made meanwhile.

The main thread alone speaks to the main database and to whoever watches; the workers speak to tenants only.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import psycopg2
from django.db import OperationalError, connections
from django.db.migrations.executor import MigrationExecutor

from tenants.errors import RolloutRefusedError, TemplateError
from tenants.models import Installation, Server, Tenant
from tenants.models.rollout import AttemptState, RolloutState
from tenants.rollout import templates
from tenants.rollout.drift import find_drift
from tenants.rollout.ledger import Ledger
from tenants.rollout.plan import Target
from tenants.rollout.policy import Brake, MaxFailures
from tenants.rollout.program import Programs
from tenants.rollout.selection import Selection
from tenants.rollout.waves import CANARY, Canary, Wave, in_waves
from tenants.rollout.worker import Failure, Outcome, WorkOptions, bring
from tenants.tenant_apps import dual_app_labels, tenant_app_labels

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

DEFAULT_WORKERS = 4

SYNTAX_OR_ACCESS_CLASS = "42"
"""SQLSTATE class of "column already exists", "table does not exist" and the like: what drift looks like to DDL."""

EXPLAINED_FAILURES = 20
"""So many failures are looked at for drift, which costs a session each; a thousand equal ones say nothing more."""


@dataclass(frozen=True)
class Request:
    """What a rollout is asked to do.

    ``asked`` is the app and migration as they were named; ``origin`` the id of the rollout that this one goes on with.
    """

    target: Target
    selection: Selection = field(default_factory=Selection)
    workers: int = DEFAULT_WORKERS
    on_error: str = "stop"
    max_failures: MaxFailures | None = None
    canary: Canary | None = None
    waves: tuple[float, ...] = ()
    work: WorkOptions = field(default_factory=WorkOptions)
    started_by: User | None = None
    asked: tuple[str | None, str | None] = (None, None)
    origin: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What the ledger keeps, so that the rollout can be gone on with."""
        app_label, migration = self.asked
        return {
            "app_label": app_label,
            "migration": migration,
            "origin": self.origin,
            "selection": self.selection.as_json(),
            "workers": self.workers,
            "on_error": self.on_error,
            "max_failures": str(self.max_failures) if self.max_failures else None,
            "canary": str(self.canary) if self.canary else None,
            "waves": ",".join(f"{share:g}%" for share in self.waves) or None,
            "fake": self.work.fake,
            "lock_timeout_ms": self.work.limits.lock_timeout / timedelta(milliseconds=1),
            "statement_timeout_ms": self.work.limits.statement_timeout / timedelta(milliseconds=1),
        }


class Stop:
    """Asks a rollout to begin no more tenants. Migrations in hand are finished or rolled back."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal: int | None = None

    def ask(self, signal: int | None = None) -> None:
        self.signal = self.signal or signal
        self._event.set()

    def is_asked(self) -> bool:
        return self._event.is_set()


class Watcher(Protocol):
    """Hears how a rollout goes. Called in the main thread."""

    def begun(self, rollout_id: str | None, title: str, total: int) -> None: ...

    def wave(self, title: str, number: int, of: int, tenants: int) -> None: ...

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None: ...


@dataclass(frozen=True)
class TenantFailure:
    """A failure and whose it is; ``tenant`` is None for the template's."""

    tenant: str | None
    failure: Failure
    attempts: int


@dataclass
class Report:
    """How a rollout went. ``state`` is ``succeeded``, ``failed``, ``interrupted`` or ``nothing_to_do``."""

    target: str
    rollout: str | None = None
    state: str = "nothing_to_do"
    total: int = 0
    counts: dict[AttemptState, int] = field(default_factory=lambda: dict.fromkeys(AttemptState, 0))
    seconds: float = 0.0
    failures: list[TenantFailure] = field(default_factory=list)
    signal: int | None = None

    @property
    def pending(self) -> int:
        return self.total - sum(self.counts.values())

    def add(self, tenant: Tenant | None, outcome: Outcome) -> None:
        if tenant is not None:
            self.counts[outcome.state] += 1
        if outcome.failure is not None:
            slug = tenant.slug if tenant is not None else None
            self.failures.append(TenantFailure(slug, outcome.failure, outcome.attempts))


class Silent:
    """A watcher that says nothing."""

    def begun(self, rollout_id: str | None, title: str, total: int) -> None: ...

    def wave(self, title: str, number: int, of: int, tenants: int) -> None: ...

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None: ...


def run_rollout(request: Request, *, watcher: Watcher | None = None, stop: Stop | None = None) -> Report:
    """Bring the selected tenants to the target, and say how it went.

    Raises ``RolloutRefusedError`` before any tenant is touched: main is behind, another rollout is active, a name
    matches nothing.
    """
    require_main_migrated()
    tenants = request.selection.tenants()
    waves = in_waves(tenants, request.canary, request.waves)
    ledger = Ledger.begin(target=request.target.title, options=request.as_json(), started_by=request.started_by)
    return _Run(request, tenants, waves, ledger, watcher or Silent(), stop or Stop()).carry_out()


def require_main_migrated() -> None:
    """Raise ``RolloutRefusedError`` where main lacks a migration of an app that lives in it."""
    executor = MigrationExecutor(connections["default"])
    only_tenants = tenant_app_labels() - dual_app_labels()
    leaves = [node for node in executor.loader.graph.leaf_nodes() if node[0] not in only_tenants]
    lacking = [
        f"{migration.app_label}.{migration.name}"
        for migration, _ in executor.migration_plan(leaves)
        if migration.app_label not in only_tenants
    ]
    if lacking:
        raise RolloutRefusedError(
            f"the main database is behind ({lacking[0]} and {len(lacking) - 1} more); run `manage.py migrate` first"
            if len(lacking) > 1
            else f"the main database is behind ({lacking[0]}); run `manage.py migrate` first"
        )


class _Run:
    """One rollout while it runs."""

    def __init__(
        self,
        request: Request,
        tenants: list[Tenant],
        waves: list[Wave],
        ledger: Ledger,
        watcher: Watcher,
        stop: Stop,
    ) -> None:
        self.request, self.tenants, self.waves = request, tenants, waves
        self.ledger, self.watcher, self.stop = ledger, watcher, stop
        self.programs = Programs(request.target, origin=request.origin or str(ledger.rollout.id))
        self.work = replace(request.work, application_name=f"silo rollout {ledger.rollout.id}")
        self.report = Report(request.target.title, rollout=str(ledger.rollout.id), total=len(tenants))
        self.brake = Brake(len(tenants), on_error=request.on_error, max_failures=request.max_failures)
        self.braked = False
        self.down: dict[int, str] = {}

    def carry_out(self) -> Report:
        began = time.perf_counter()
        self.watcher.begun(self.report.rollout, self.request.target.title, len(self.tenants))
        state = RolloutState.FAILED
        try:
            head_key = self._template_first() if self.request.selection.is_whole_fleet else None
            if not self.report.failures:
                self._migrate_in_waves()
                if head_key is not None and self._is_complete():
                    self._move_fleet(head_key)
            state = self._state()
        finally:
            self.ledger.finish(state)
        self.report.seconds = time.perf_counter() - began
        self.report.signal = self.stop.signal
        done_nothing = state == RolloutState.SUCCEEDED and not self.report.counts[AttemptState.MIGRATED]
        self.report.state = "nothing_to_do" if done_nothing else state.value
        return self.report

    def _template_first(self) -> str | None:
        """The template of the target on each server in use; gives its head's key, None where it could not be made."""
        key = None
        # The schema that is faked is there already, so a new tenant needs it made: the template is never faked.
        work = replace(self.work, fake=False)
        for server in Server.objects.exclude(state=Server.State.OFFLINE):
            try:
                key = templates.build(server, self.request.target, work).head_key
            except templates.TemplateFailedError as error:
                self._take(None, error.outcome)
                return None
            except (psycopg2.OperationalError, OperationalError) as error:
                # One server that is down fails its own tenants, and no others.
                self.down[server.pk] = str(error).strip()
            except Exception as error:
                failure = Failure(None, None, type(error).__name__, str(error), traceback.format_exc())
                self._take(None, Outcome(AttemptState.FAILED, failure=failure))
                return None
        return key

    def _migrate_in_waves(self) -> None:
        for number, wave in enumerate(self.waves, start=1):
            if len(self.waves) > 1:
                self.watcher.wave(wave.title, number, len(self.waves), len(wave.tenants))
            self._migrate(wave.tenants)
            if wave.title == CANARY and self.report.failures and self.request.max_failures is None:
                # That is what a canary is for.
                self.braked = True
            if self.braked or self.stop.is_asked():
                return

    def _migrate(self, tenants: Iterable[Tenant]) -> None:
        """Bring tenants along, several at a time. Each worker takes the next tenant when it is done with one."""
        remaining = iter(list(tenants))
        lock = threading.Lock()
        outcomes: queue.SimpleQueue[tuple[Tenant, Outcome, threading.Event] | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                for tenant in self._claims(remaining, lock):
                    outcome, judged = self._bring(tenant), threading.Event()
                    outcomes.put((tenant, outcome, judged))
                    if outcome.failure is not None:
                        # Not before the main thread has said whether this was one too many.
                        judged.wait()
            finally:
                connections.close_all()
                outcomes.put(None)

        workers = [
            threading.Thread(target=work, name=f"silo-rollout-{number}", daemon=True)
            for number in range(max(1, min(self.request.workers, len(self.tenants) or 1)))
        ]
        for worker in workers:
            worker.start()
        try:
            for _ in workers:
                for tenant, outcome, judged in iter(outcomes.get, None):
                    try:
                        self._take(tenant, outcome)
                    finally:
                        judged.set()
        except BaseException:
            # Main is lost, or the watcher is: begin nothing new, and let what is in hand end.
            self.braked = True
            while any(worker.is_alive() for worker in workers):
                with suppress(queue.Empty):
                    if (left := outcomes.get(timeout=0.1)) is not None:
                        left[2].set()
            raise
        finally:
            for worker in workers:
                worker.join()

    def _claims(self, remaining: Iterator[Tenant], lock: threading.Lock) -> Iterator[Tenant]:
        while not (self.stop.is_asked() or self.braked):
            with lock:
                tenant = next(remaining, None)
            if tenant is None:
                return
            yield tenant

    def _bring(self, tenant: Tenant) -> Outcome:
        if tenant.state != Tenant.State.ACTIVE:
            return Outcome(AttemptState.SKIPPED, reason=f"it is {tenant.state}")
        if tenant.server_id in self.down:
            message = f"its server {tenant.server} cannot be reached: {self.down[tenant.server_id]}"
            return Outcome(AttemptState.FAILED, failure=Failure(None, None, "ServerDownError", message, ""))
        return bring(tenant, self.programs, self.work, may_go_on=lambda: not self.stop.is_asked())

    def _take(self, tenant: Tenant | None, outcome: Outcome) -> None:
        if outcome.failure is not None and tenant is not None and not _is_in_service(tenant):
            outcome = replace(
                outcome, state=AttemptState.SKIPPED, failure=None, reason="it went out of service meanwhile"
            )
        outcome = self._explained(tenant, outcome)
        self.report.add(tenant, outcome)
        self.ledger.note(tenant, outcome)
        self.watcher.done(tenant, outcome)
        failure = outcome.failure
        if self.brake.must_stop((failure.error, failure.migration) if failure else None):
            self.braked = True

    def _explained(self, tenant: Tenant | None, outcome: Outcome) -> Outcome:
        """Where DDL met something it did not expect, look whether the schema has drifted, and name the difference."""
        failure = outcome.failure
        if tenant is None or failure is None or len(self.report.failures) >= EXPLAINED_FAILURES:
            return outcome
        if not (failure.migration and (failure.sqlstate or "").startswith(SYNTAX_OR_ACCESS_CLASS)):
            return outcome
        found = find_drift([tenant], workers=1)
        if not found or found[0].error:
            return outcome
        message = f"{failure.message}\nIts schema is not what its recorded migrations make:\n{found[0]}"
        return replace(outcome, failure=replace(failure, message=message))

    def _is_complete(self) -> bool:
        return not (self.report.failures or self.report.pending)

    def _move_fleet(self, head_key: str) -> None:
        """New tenants are cloned from the new template from here on; those made meanwhile are brought along."""
        self.ledger.write()
        Installation.move_head(head_key)
        # One that was suspended at the start may have been resumed since, at the head as it was then.
        known = {tenant.pk for tenant in self.tenants if tenant.state == Tenant.State.ACTIVE}
        late = [
            tenant
            for tenant in self.request.selection.tenants()
            if tenant.pk not in known and tenant.state == Tenant.State.ACTIVE
        ]
        self.report.total += len(late)
        self._migrate(late)
        for server in Server.objects.exclude(state=Server.State.OFFLINE):
            try:
                templates.prune(server)
            except (TemplateError, psycopg2.Error):
                logger.warning(
                    "Old templates on %s could not be dropped; the next rollout tries again", server, exc_info=True
                )

    def _state(self) -> RolloutState:
        if self.report.failures:
            return RolloutState.FAILED
        return RolloutState.INTERRUPTED if self.report.pending else RolloutState.SUCCEEDED


def _is_in_service(tenant: Tenant) -> bool:
    """Whether a tenant that failed is still there to be migrated, or was suspended or deleted under the worker."""
    return Tenant.objects.filter(pk=tenant.pk, state=Tenant.State.ACTIVE).exists()
