"""Runs a rollout over the fleet: template first, then tenants in threads, then those that were made meanwhile.

The main thread alone speaks to the main database and to whoever watches; the workers speak to tenants only.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg2
from django.db import connections

from tenants.errors import ServerDownError, TemplateError
from tenants.models import Installation, Server, Tenant
from tenants.models.rollout import AttemptState, RolloutState
from tenants.rollout import templates
from tenants.rollout.drift import find_drift
from tenants.rollout.ledger import Ledger
from tenants.rollout.policy import Brake
from tenants.rollout.preconditions import require_main_migrated
from tenants.rollout.program import Programs
from tenants.rollout.request import Request
from tenants.rollout.result import Report
from tenants.rollout.watcher import Silent, Stop, Watcher
from tenants.rollout.waves import CANARY, Wave, in_waves
from tenants.rollout.worker import Outcome, bring, describe

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

SYNTAX_OR_ACCESS_CLASS = "42"
"""SQLSTATE class of "column already exists", "table does not exist" and the like: what drift looks like to DDL."""

EXPLAINED_FAILURES = 20
"""So many failures are looked at for drift, which costs a session each; a thousand equal ones say nothing more."""


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
        self.down: dict[int, ServerDownError] = {}

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
                key = templates.build(server, self.programs, work).head_key
            except templates.TemplateFailedError as error:
                self._take(None, error.outcome)
                return None
            except psycopg2.OperationalError as error:
                # One server that is down fails its own tenants, and no others. (Main's errors are Django's own.)
                self.down[server.pk] = ServerDownError(f"{server}: {str(error).strip()}", server=server.name)
            except Exception as error:
                self._take(None, Outcome(AttemptState.FAILED, failure=describe(error)))
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
                        while not (judged.wait(0.1) or self.braked):
                            pass
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
            return Outcome(AttemptState.FAILED, failure=describe(self.down[tenant.server_id]))
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
        if Installation.current().head_key != head_key:
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
