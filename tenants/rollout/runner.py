"""Runs a rollout over the fleet: template first, then tenants in waves, then those that were made meanwhile.

The main thread alone speaks to the main database and to whoever watches; the crew's threads speak to tenants only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import replace

import psycopg2
from psycopg2 import errorcodes

from tenants.databases.sessions import cancel_statements
from tenants.errors import TemplateError
from tenants.models import Installation, Server, Template, Tenant
from tenants.models.rollout import AttemptState, RolloutState
from tenants.rollout import templates
from tenants.rollout.control import Control
from tenants.rollout.crew import at_work
from tenants.rollout.ledger import Ledger, parts_of
from tenants.rollout.main_link import MainLink
from tenants.rollout.outcome import Outcome
from tenants.rollout.policy import Brake, Verdict
from tenants.rollout.preconditions import require_main_migrated
from tenants.rollout.program import Programs
from tenants.rollout.request import Request
from tenants.rollout.result import Report
from tenants.rollout.scheduler import Scheduler, Task
from tenants.rollout.target import Relative, exactly
from tenants.rollout.template_first import TemplateFirst
from tenants.rollout.watcher import Silent, Stop, Watcher
from tenants.rollout.waves import CANARY, Wave, in_waves
from tenants.rollout.worker import try_once

logger = logging.getLogger(__name__)

EXPLAINED_FAILURES = 20
"""So many failures are looked at for drift, which costs a session each; a thousand equal ones say nothing more."""


def run_rollout(request: Request, *, watcher: Watcher | None = None, stop: Stop | None = None) -> Report:
    """Bring the selected tenants to the target, and say how it went.

    Raises ``RolloutRefusedError`` before any tenant is touched: main is behind, another rollout is active, a name
    matches nothing.
    """
    require_main_migrated()
    tenants = request.selection.tenants()
    request = replace(request, selection=request.selection.settled(tenants))
    waves = in_waves(tenants, request.canary, request.waves)
    ledger = Ledger.begin(
        target=request.target.title, options=request.as_json(), total=len(tenants), started_by=request.started_by
    )
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
        self.ledger, self.watcher = ledger, watcher
        self.programs = Programs(request.target, origin=request.origin or str(ledger.rollout.id))
        self.work = replace(
            request.work,
            application_name=f"silo rollout {ledger.rollout.id}",
            may_go_on=lambda: not stop.is_asked(),
        )
        self.report = Report(request.target.title, rollout=str(ledger.rollout.id), total=len(tenants))
        self.brake = Brake(len(tenants), on_error=request.on_error, max_failures=request.max_failures)
        self.control = Control(ledger.rollout, self.watcher.wished)
        self.scheduler = Scheduler(request.workers, stop, may_begin=self._may_begin)
        self.main = MainLink(ledger, self.control, self.scheduler, self.report)
        programs = self._programs_of_template()
        self.template = TemplateFirst(programs, self.work, self.scheduler, is_main_there=ledger.is_active)
        stop.cancel = self._cancel

    def carry_out(self) -> Report:
        began = time.perf_counter()
        self.watcher.begun(self.report.rollout, self.request.target.title, len(self.tenants))
        state = RolloutState.FAILED
        try:
            self._carry_out()
            state = self._state()
        finally:
            with self.main.may_be_lost():
                self.ledger.finish(state, plan_hash=self.programs.plan_hash())
        self.report.seconds = time.perf_counter() - began
        self.report.signal = self.scheduler.stop.signal
        self.report.aborted_by = self.control.by if self.control.is_aborted else None
        state = self._state()
        done_nothing = state == RolloutState.SUCCEEDED and not self.report.counts[AttemptState.MIGRATED]
        self.report.state = "nothing_to_do" if done_nothing else state.value
        return self.report

    def _carry_out(self) -> None:
        with self.main.may_be_lost():
            head_key = self.template.build() if self.request.moves_fleet else None
            if isinstance(head_key, Outcome):
                self._take(None, head_key)
            else:
                if head_key is not None:
                    self.ledger.note_template(head_key)
                self._migrate_in_waves()
                self.main.beat()
                if head_key is not None and self._is_complete():
                    self._move_fleet(head_key)

    def _programs_of_template(self) -> Programs:
        """The tenants'; but a step such as -1 that an earlier part of this rollout took is not taken twice."""
        if self.request.origin is not None and isinstance(self.request.target, Relative):
            earlier = parts_of(self.request.origin).exclude(fleet_after="").first()
            template = earlier and Template.objects.filter(head_key=earlier.fleet_after).first()
            if template:
                return Programs(exactly(templates.applied_in(template)))
        return self.programs

    def _migrate_in_waves(self) -> None:
        for number, wave in enumerate(self.waves, start=1):
            if len(self.waves) > 1:
                self.watcher.wave(wave.title, number, len(self.waves), len(wave.tenants))
            self._migrate(wave.tenants)
            if wave.title == CANARY and self.report.failures and self.request.max_failures is None:
                # That is what a canary is for.
                self.scheduler.halt()
            if self.scheduler.is_halted:
                return

    def _migrate(self, tenants: Collection[Tenant]) -> None:
        """Bring tenants along, several at a time."""
        self.main.beat()  # The template may have taken long.
        in_service = [tenant for tenant in tenants if tenant.state == Tenant.State.ACTIVE]
        for tenant in tenants:
            if tenant.state != Tenant.State.ACTIVE:
                self._take(tenant, Outcome(AttemptState.SKIPPED, reason=f"it is {tenant.state}"))
        self.scheduler.add(in_service)
        with at_work(self.scheduler, self._attempt, min(self.request.workers, len(in_service))) as results:
            for result in results:
                self.main.beat()
                if result is None:
                    # Nobody is waiting for us, so let those who look into main see how far it is.
                    with self.main.may_be_lost():
                        self.ledger.write()
                else:
                    try:
                        self._take(result.tenant, result.outcome)
                    finally:
                        result.judged.set()

    def _may_begin(self) -> bool:
        return self.ledger.is_held() and not self.control.is_paused

    def _attempt(self, task: Task) -> Outcome:
        refusal = self.scheduler.refusal_of(task)
        return refusal or try_once(task.tenant, self.programs, self.work, before=task.before)

    def _cancel(self) -> None:
        for server in self.template.in_hand or self.scheduler.in_hand():
            try:
                cancel_statements(server, self.work.application_name)
            except psycopg2.Error:
                logger.warning("What runs on %s could not be cancelled", server, exc_info=True)

    def _take(self, tenant: Tenant | None, outcome: Outcome) -> None:
        failure = outcome.failure
        was_cancelled = self.scheduler.stop.is_urgent and failure and failure.sqlstate == errorcodes.QUERY_CANCELED
        if was_cancelled or outcome.verdict is Verdict.STOPPED:
            # It is pending, and nothing of it is half done. What it did before is written down.
            if outcome.steps:
                stopped = replace(outcome, state=AttemptState.SKIPPED, failure=None, reason="it was stopped")
                with self.main.may_be_lost():
                    self.ledger.note(tenant, stopped)
            return
        with self.main.may_be_lost():
            if outcome.failure is not None and tenant is not None and not _is_in_service(tenant):
                reason = "it went out of service meanwhile"
                outcome = replace(outcome, state=AttemptState.SKIPPED, failure=None, reason=reason)
            if outcome.failure is not None and tenant is not None and len(self.report.failures) < EXPLAINED_FAILURES:
                from tenants.rollout.drift import explained  # Only here: most rollouts have no failure to explain.

                outcome = explained(tenant, outcome)
        self.report.add(tenant, outcome)
        self.watcher.done(tenant, outcome)
        failure = outcome.failure
        # A server in trouble says nothing about the migration: its tenants fail, and the others go on.
        if not outcome.verdict.blames_server:
            error = (failure.error, failure.migration) if failure else None
            if self.brake.must_stop(error):
                self.scheduler.halt()
        with self.main.may_be_lost():
            self.ledger.note(tenant, outcome)

    def _is_complete(self) -> bool:
        return not (self.report.failures or self.report.pending or self.report.lost)

    def _move_fleet(self, head_key: str) -> None:
        """New tenants are cloned from the new template from here on; those made meanwhile are brought along."""
        self.ledger.write()
        if Installation.current().head_key != head_key:
            Installation.move_head(head_key)
        # One that was suspended at the start may have been resumed since, at the head as it was then.
        known = {tenant.pk for tenant in self.tenants if tenant.state == Tenant.State.ACTIVE}
        late = self.request.selection.newcomers(known)
        self.report.total += len(late)
        self.ledger.expect(len(late))
        self._migrate(late)
        for server in Server.objects.exclude(state=Server.State.OFFLINE):
            try:
                templates.prune(server)
            except (TemplateError, psycopg2.Error):
                logger.warning(
                    "Old templates on %s could not be dropped; the next rollout tries again", server, exc_info=True
                )

    def _state(self) -> RolloutState:
        if self.control.is_aborted and self.report.pending:
            return RolloutState.INTERRUPTED
        if self.report.failures:
            return RolloutState.FAILED
        return RolloutState.INTERRUPTED if self.report.pending or self.report.lost else RolloutState.SUCCEEDED


def _is_in_service(tenant: Tenant) -> bool:
    """Whether a tenant that failed is still there to be migrated, or was suspended or deleted under the worker."""
    return Tenant.objects.filter(pk=tenant.pk, state=Tenant.State.ACTIVE).exists()
