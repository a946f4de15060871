"""The live terminal display of a run: phase, progress, rates, losses, lag, time left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

#: What the display shows: label, metric, format.
ROWS = (
    ("actors", (
        ("decisions/s", "actors/decisions_per_second", "{:,.0f}"),
        ("episode net return", "actors/episode_profit", "{:+.4%}"),
        ("trades a day", "actors/trades_per_day", "{:,.0f}"),
        ("policy lag, updates", "learner/policy_lag_mean", "{:.1f}"),
    )),
    ("replay", (
        ("stored", "replay/size", "{:,.0f}"),
        ("samples per insert", "replay/samples_per_insert", "{:.2f}"),
        ("rejected updates", "replay/rejected_stale", "{:,.0f}"),
    )),
    ("learner", (
        ("updates/s", "learner/updates_per_second", "{:,.1f}"),
        ("loss", "learner/loss", "{:.5f}"),
        ("|TD|", "learner/td_mean", "{:.5f}"),
        ("Q mean", "learner/q_mean", "{:+.5f}"),
        ("gradient norm", "learner/grad_norm", "{:.3f}"),
    )),
    ("pretrain", (
        ("loss", "pretrain/fit_loss", "{:.4f}"),
        ("validation loss", "pretrain/validation_loss", "{:.4f}"),
    )),
    ("eval", (
        ("net return", "eval/net_return", "{:+.4%}"),
        ("best so far", "eval/best_net_return", "{:+.4%}"),
        ("trades", "eval/trades", "{:,.0f}"),
    )),
)  # fmt: skip


class _Output(Console):
    """A console whose reader may go, as ``tee`` does at Ctrl-C: the run goes on in silence."""

    def on_broken_pipe(self) -> None:
        """What rich does, but for ending the process: a run must come to its checkpoint."""
        with suppress(SystemExit):
            super().on_broken_pipe()


class Display:
    """A ``Sink`` that draws. Without a terminal it prints a line now and then.

    plain_every: seconds between lines where there is no terminal.
    """

    def __init__(self, title: str, console: Console | None = None, plain_every: float = 15) -> None:
        self._console = console or _Output(highlight=False)
        self._title, self._plain_every = title, plain_every
        self._values: dict[str, float] = {}
        self._phase_groups: set[str] = set()
        self._phase, self._done, self._total, self._before = "", 0.0, 1.0, 0.0
        self._phase_start = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(self._draw(), console=self._console, refresh_per_second=2)
            self._live.start()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, markup=False, soft_wrap=True)

    def say_table(self, content: Table | str) -> None:
        """A table, or a line, that stays."""
        self._console.print(content, soft_wrap=isinstance(content, str))

    def phase(self, name: str, total: float, done: float = 0.0) -> None:
        """A new phase begins, ``total`` units long, of which ``done`` were done before this run."""
        self._phase, self._done, self._total = name, done, max(total, 1e-9)
        self._before = done
        self._phase_start = time.monotonic()
        self._phase_groups.clear()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=total, completed=int(done))
        if self._live is None:
            self.say(f"{name} …")

    def advance(self, done: float) -> None:
        """``done`` units of the phase are done."""
        self._done = done
        if self._task is not None:
            self._bar.update(self._task, completed=int(done))
        self._refresh()

    def log(self, group: str, step: float, values: Mapping[str, float]) -> None:
        """See ``Sink.log``."""
        self._values.update(values)
        self._phase_groups.add(group)
        self._refresh()

    def close(self, summary: Mapping[str, Any]) -> None:
        """See ``Sink.close``."""
        if self._live is not None:
            self._live.update(self._draw(), refresh=True)
            self._live.stop()
            self._live = None

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._draw())
        elif time.monotonic() - self._last_line >= self._plain_every:
            self._last_line = time.monotonic()
            self.say(self._line())

    def _line(self) -> str:
        share = min(self._done / self._total, 1.0)
        elapsed = time.monotonic() - self._phase_start
        here = self._done - self._before
        left = (
            f"{elapsed * (max(self._total - self._done, 0.0)) / here:,.0f} s left"
            if here > 0
            else "starting"
        )
        parts = [f"{self._phase} {share:.0%}, {left}"]
        for group, rows in ROWS:
            if group not in self._phase_groups:
                continue  # figures of an earlier phase say nothing about this one
            readings = [f"{label} {text}" for label, text in self._readings(rows)]
            if readings:
                parts.append(f"{group}: " + ", ".join(readings))
        return " | ".join(parts)

    def _readings(self, rows: tuple[tuple[str, str, str], ...]) -> list[tuple[str, str]]:
        return [(label, form.format(self._values[metric]))
                for label, metric, form in rows if metric in self._values]  # fmt: skip

    def _draw(self) -> Group:
        table = Table(title=self._title, title_justify="left", show_header=False, box=None)
        for group, rows in ROWS:
            for i, (label, text) in enumerate(self._readings(rows)):
                table.add_row(f"[dim]{group}[/]" if i == 0 else "", label, f"[bold]{text}[/]")
        return Group(table, self._bar)
