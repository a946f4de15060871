"""What a download shows while it runs, and what it says at the end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from apex_trader.market import intervals
from apex_trader.market.download.download import DownloadRequest, DownloadResult
from apex_trader.market.download.held import held
from apex_trader.market.download.tally import WantResult
from apex_trader.market.download.want import Want, total
from apex_trader.market.kinds import KINDS
from apex_trader.market.lookback import lookback_text
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import WriteSummary
from apex_trader.time import DAY, format_time

#: Stretches that could not be had that are listed for each market and kind.
SHOWN = 3


#: Seconds between lines of progress where there is no terminal.
PERIOD = 10.0


def screen() -> Screen | Lines:
    """What shows a download on stderr: bars on a terminal, now and then a line elsewhere."""
    console = Console(stderr=True)
    return Screen(console) if console.is_terminal else Lines()


class Screen:
    """A bar for each market and kind, while they come."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rows]:,} rows", justify="right"),
            TextColumn("{task.fields[size]}", justify="right"), TimeElapsedColumn(),
            TimeRemainingColumn(compact=True), console=console, transient=True,
        )  # fmt: skip
        self._tasks: dict[Want, TaskID] = {}
        self._counts: dict[Want, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def planned(self, wanted: Want, micros: int) -> None:
        """A bar for the want; a full one when nothing is missing."""
        self._counts[wanted] = (0, 0)
        self._tasks[wanted] = self._progress.add_task(
            str(wanted), total=max(micros, 1), completed=0 if micros else 1, rows=0, size=""
        )

    def received(self, wanted: Want, size: int) -> None:
        """Count bytes."""
        rows, so_far = self._counts[wanted]
        self._counts[wanted] = (rows, so_far + size)
        self._progress.update(self._tasks[wanted], size=decimal(so_far + size))

    def delivered(self, wanted: Want, covered: tuple[int, int], summary: WriteSummary) -> None:
        """Count rows, and move the bar by the time that they speak for."""
        rows, size = self._counts[wanted]
        self._counts[wanted] = (rows + summary.rows, size)
        inside = total(intervals.clip(wanted.span, *covered))
        task = self._tasks[wanted]
        self._progress.update(task, rows=rows + summary.rows)
        self._progress.advance(task, inside)

    def remark(self, text: str) -> None:
        """Remarks come with the summary."""


class Lines:
    """A line for each market and kind that is there, and one every ``period`` seconds (logs, CI).

    clock: seconds, steady.
    """

    def __init__(self, period: float = PERIOD, clock: Callable[[], float] = time.monotonic) -> None:
        self._period, self._clock = period, clock
        self._counts: dict[Want, _Count] = {}
        self._next = clock() + period

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is left to be closed."""

    def planned(self, wanted: Want, micros: int) -> None:
        """Say how much of a want is missing."""
        self._counts[wanted] = _Count(micros)
        self._say(f"{wanted}: " + (f"{_duration(micros)} missing" if micros else "all there"))

    def received(self, wanted: Want, size: int) -> None:
        """Count bytes."""
        self._counts[wanted].size += size
        self._now_and_then(wanted)

    def delivered(self, wanted: Want, covered: tuple[int, int], summary: WriteSummary) -> None:
        """Count rows and the time that they speak for; say so when it is all of it."""
        count = self._counts[wanted]
        before = count.done
        count.rows += summary.rows
        count.done += total(intervals.clip(wanted.span, *covered))
        if before < count.missing <= count.done:
            self._say(f"{wanted}: {count.rows:,} rows, {decimal(count.size)}, all there")
        else:
            self._now_and_then(wanted)

    def remark(self, text: str) -> None:
        """Remarks come with the summary."""

    def _now_and_then(self, wanted: Want) -> None:
        if self._clock() < self._next:
            return
        self._next = self._clock() + self._period
        count = self._counts[wanted]
        share = min(1.0, count.done / count.missing) if count.missing else 1.0
        self._say(f"{wanted}: {share:.0%}, {count.rows:,} rows, {decimal(count.size)}")

    def _say(self, text: str) -> None:
        # A reader that left (a closed pipe) does not end the download.
        with contextlib.suppress(BrokenPipeError):
            print(text, file=sys.stderr, flush=True)


@dataclass
class _Count:
    """Of one want: µs that were missing and that came, rows, bytes."""

    missing: int
    done: int = 0
    rows: int = 0
    size: int = 0


def print_result(store: MarketStore, request: DownloadRequest, result: DownloadResult) -> None:
    """The summary on stdout; single files that failed on stderr."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    if not result.wants:
        print("nothing to download: no bar of that time is over yet")
        return
    console.print(_table(store, result))
    for remark in result.remarks:
        print(f"note: {remark}")
    for market, lookback in result.lookbacks.items():
        if lookback is not None:
            print(lookback_text(market, lookback))
    for line in _lacking_lines(request, result):
        print(line)
    for failure in result.failures:
        print(f"error: {failure}", file=sys.stderr)


def _table(store: MarketStore, result: DownloadResult) -> Table:
    table = Table(
        title=f"downloaded into {store.url}", title_justify="left", title_style="bold",
        caption="gaps: stretches without bars; of trades, pauses above a minute",
        caption_justify="left",
    )  # fmt: skip
    for name in ("market", "kind"):
        table.add_column(name)
    for name in ("new rows", "rows there", "gaps", "missing bars", "not to be had", "downloaded"):
        table.add_column(name, justify="right")
    for done in result.wants:
        want = done.want
        there = held(store, want)
        bars = KINDS[want.kind].step is not None
        missing = f"{there.missing:,}" if bars else ""
        table.add_row(
            want.market, want.kind, f"{done.new_rows:,}", f"{there.rows:,}", f"{there.gaps:,}",
            missing, _duration(total(done.lacking)),
            decimal(done.size) if done.size else "nothing",
        )  # fmt: skip
    return table


def _lacking_lines(request: DownloadRequest, result: DownloadResult) -> list[str]:
    """What could not be had, and what may help."""
    lines = [
        f"not to be had: {done.want} {_spans(done)}" for done in result.wants if len(done.lacking)
    ]
    if lines and request.source == "archive":
        lines.append("--source auto asks the exchange for what its archive has not published")
    return lines


def _spans(done: WantResult) -> str:
    spans = [f"{format_time(a)} to {format_time(b)}" for a, b in done.lacking[:SHOWN].tolist()]
    more = len(done.lacking) - SHOWN
    return ", ".join(spans) + (f", and {more:,} more stretches" if more > 0 else "")


def _duration(micros: int) -> str:
    if micros == 0:
        return ""
    if micros >= 2 * DAY:
        return f"{micros / DAY:.4g} days"
    return f"{micros / DAY * 24:.4g} h"
