"""A rollout on a terminal, as it goes. Imported only where there is one: rich takes a while."""

from __future__ import annotations

from typing import TextIO

from rich import progress as bars
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tenants.models import Tenant
from tenants.models.rollout import Wish
from tenants.rollout.outcome import Outcome
from tenants.rollout.progress import SHOWN_AT_ONCE, Progress, count, failure_line, wish_line


class LiveProgress(Progress):
    """A bar for the wave and one for all, their rate and time left, and who paused it; failures roll by above."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)
        self._bars = bars.Progress(
            bars.TextColumn("[bold]{task.description}"),
            bars.BarColumn(bar_width=None),
            bars.MofNCompleteColumn(),
            _Rate(),
            bars.TimeRemainingColumn(compact=True),
            bars.TextColumn("left"),
            console=self._console,
            expand=True,
        )
        self._all = self._wave = bars.TaskID(0)
        self._title, self._wish, self._failed = "", "", 0
        self._live = Live(console=self._console, get_renderable=self._view, refresh_per_second=5)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begun(self, rollout_id: str | None, title: str, total: int) -> None:
        self._title = f"rollout {(rollout_id or '')[:8]} to {title}"
        self._all = self._wave = self._bars.add_task("all", total=total)

    def wave(self, title: str, number: int, of: int, tenants: int) -> None:
        if self._wave != self._all:
            self._bars.remove_task(self._wave)
        self._wave = self._bars.add_task(f"wave {number} of {of} ({title})", total=tenants)

    def done(self, tenant: Tenant | None, outcome: Outcome) -> None:
        if outcome.failure is not None:
            self._failed += 1
            if self._failed <= SHOWN_AT_ONCE:
                self._console.print(
                    Text(failure_line(tenant, outcome), "red"), no_wrap=True, overflow="ellipsis", crop=True
                )
        if tenant is not None:
            for task in {self._all, self._wave}:
                self._bars.advance(task)

    def wished(self, wish: Wish, by: str) -> None:
        self._wish = "" if wish == Wish.GO else wish_line(wish, by)

    def _view(self) -> RenderableType:
        lines: list[RenderableType] = [Text(self._title, "dim")] if self._title else []
        if self._failed:
            lines.append(Text(f"{count(self._failed, 'failure')}", "bold red"))
        if self._wish:
            lines.append(Text(self._wish, "bold yellow"))
        return Group(*lines, self._bars)


class _Rate(bars.ProgressColumn):
    """Tenants a second, of late."""

    def render(self, task: bars.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f}/s" if speed else "", "cyan")
