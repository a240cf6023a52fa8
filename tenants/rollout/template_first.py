"""The template of a rollout's target, on each server in use, before any tenant is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg2

from tenants.errors import ServerDownError
from tenants.models import Server
from tenants.models.rollout import AttemptState
from tenants.rollout import templates
from tenants.rollout.outcome import Outcome, describe
from tenants.rollout.policy import Verdict, pause_before, verdict_on_server
from tenants.rollout.program import Programs
from tenants.rollout.scheduler import Scheduler
from tenants.rollout.worker import WorkOptions


class TemplateFirst:
    """Builds the templates. ``in_hand`` are the servers on which it is at work."""

    def __init__(
        self, programs: Programs, work: WorkOptions, scheduler: Scheduler, *, is_main_there: Callable[[], bool]
    ) -> None:
        self._programs, self._scheduler, self._is_main_there = programs, scheduler, is_main_there
        # The schema that is faked is there already, so a new tenant needs it made: the template is never faked.
        self._work = replace(work, fake=False)
        self.in_hand: list[Server] = []

    def build(self) -> str | Outcome | None:
        """The key of the templates' head; what became of the first that failed; None where no server could be used.

        A server in trouble fails its own tenants, and no others. While no server has the template, they are waited for.
        """
        key, tries = None, 1
        remaining = list(Server.objects.exclude(state=Server.State.OFFLINE))
        while remaining and key is None and not self._scheduler.is_halted:
            in_trouble = []
            for server in remaining:
                built = self._build_on(server)
                if isinstance(built, str):
                    key = built
                elif not built.verdict.blames_server:
                    return built
                elif not self._scheduler.note_trouble(server, built):
                    in_trouble.append(server)
            remaining, tries = in_trouble, tries + 1
            if remaining and key is None:
                self._scheduler.stop.wait(pause_before(tries))
        return key

    def _build_on(self, server: Server) -> str | Outcome:
        self.in_hand = [server]
        try:
            return templates.build(server, self._programs, self._work).head_key
        except templates.TemplateFailedError as error:
            return error.outcome
        except psycopg2.OperationalError as error:
            # Main's errors are Django's own.
            verdict = verdict_on_server(error)
            down = ServerDownError(f"{server}: {str(error).strip()}", server=server.name)
            failure = describe(error, down if verdict is Verdict.DOWN else error)
            return Outcome(AttemptState.FAILED, failure=failure, verdict=verdict)
        except Exception as error:
            if not self._is_main_there():
                raise
            return Outcome(AttemptState.FAILED, failure=describe(error))
        finally:
            self.in_hand = []
