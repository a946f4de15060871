"""Holes in what a store holds: time that nothing speaks for, bars and trades that are absent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from apex_trader.market import intervals
from apex_trader.market.finding import Finding
from apex_trader.market.kinds import KINDS, Data, partition_bounds
from apex_trader.market.mend import days_of, mending
from apex_trader.market.store import MarketStore
from apex_trader.market.types import I64, Trades
from apex_trader.time import DAY, HOUR, MINUTE, SECOND, format_time

#: Recordings further apart (µs) are not meant to be one.
SEPARATE = 31 * DAY


@dataclass
class Gaps:
    """Collects the gaps of one kind of one market, a partition at a time in order."""

    store: MarketStore
    market: str
    kind: str
    _absent: int = 0
    _stretches: int = 0
    _first: str = ""
    _times: list[I64] = field(default_factory=list)
    _last: tuple[int, int] | None = None

    def add(self, label: str, data: Data, place: str) -> None:
        """Look at a partition's rows."""
        if isinstance(data, Trades):
            self._numbers(data, place)
        elif KINDS[self.kind].step is not None:
            self._bars(label, data, place)

    def findings(self) -> Iterator[Finding]:
        """What there is to say once all partitions were seen."""
        if self._absent:
            what = "trade numbers" if self.kind == "trades" else "bars"
            text = (
                f"{self._absent:,} {what} are absent in {self._stretches:,} stretches of time that "
                f"is said to be covered (the first {self._first}): the exchange stood still, or "
                "its file was incomplete"
            )
            spans = days_of(np.concatenate(self._times))
            yield Finding(False, f"{self.market} {self.kind}", text,
                          self._mend(spans, replace=True, source="rest"))  # fmt: skip
        yield from self._holes()

    def _bars(self, label: str, data: Data, place: str) -> None:
        step = KINDS[self.kind].step or 0
        for start, end in intervals.clip(self._covered(), *partition_bounds(
            KINDS[self.kind], label)).tolist():  # fmt: skip
            whole = np.arange(-(-start // step) * step, end - step + 1, step, dtype=np.int64)
            absent = np.setdiff1d(whole, data.ts, assume_unique=True)
            if len(absent):
                row = int(np.searchsorted(data.ts, absent[0]))
                first = f"{format_time(int(absent[0]))}, before row {row} of {place}"
                self._note(len(absent), 1 + int((np.diff(absent) > step).sum()), absent, first)

    def _numbers(self, trades: Trades, place: str) -> None:
        """Aggregate trades are numbered without holes."""
        if trades.id is None:
            self._last = None
            return
        before = self._last or (int(trades.id[0]) - 1, int(trades.ts[0]))
        ids, ts = np.r_[before[0], trades.id], np.r_[before[1], trades.ts]
        jumps = np.flatnonzero(np.diff(ids) > 1)
        # Between recordings anything may have happened; only within one a hole is a loss.
        inside = intervals.covers(self._covered(), ts[jumps], 1)
        inside &= self._same_recording(ts[jumps], ts[jumps + 1])
        jumps = jumps[inside]
        if len(jumps):
            lost = int((ids[jumps + 1] - ids[jumps] - 1).sum())
            self._note(lost, len(jumps), ts[jumps],
                       f"before row {int(jumps[0])} of {place}")  # fmt: skip
        self._last = int(trades.id[-1]), int(trades.ts[-1])

    def _same_recording(self, a: I64, b: I64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        covered = self._covered()
        starts = covered[:, 0]
        same: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.searchsorted(
            starts, a, side="right"
        ) == np.searchsorted(starts, b, side="right")
        return same

    def _note(self, count: int, stretches: int, times: I64, first: str) -> None:
        self._absent += count
        self._stretches += stretches
        self._first = self._first or first
        self._times.append(times)

    def _holes(self) -> Iterator[Finding]:
        """Time between the first and the last coverage that nothing speaks for."""
        covered = self._covered()
        holes = np.stack([covered[:-1, 1], covered[1:, 0]], axis=1)
        holes = holes[holes[:, 1] - holes[:, 0] <= SEPARATE]
        if len(holes) == 0:
            return
        longest = int((holes[:, 1] - holes[:, 0]).max())
        first, last = holes[0].tolist()
        text = (
            f"{len(holes):,} stretches of time are not covered, the longest {_duration(longest)} "
            f"(the first {format_time(first)} to {format_time(last)})"
        )
        yield Finding(False, f"{self.market} {self.kind}", text, self._mend(holes, replace=False))

    def _mend(self, spans: I64, *, replace: bool, source: str = "") -> str:
        return mending(self.store, self.market, [self.kind], spans, replace=replace, source=source)

    def _covered(self) -> I64:
        return self.store.coverage(self.market, self.kind)


def _duration(micros: int) -> str:
    for unit, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
        if micros >= 2 * unit:
            return f"{micros / unit:.4g} {name}"
    return f"{micros / SECOND:.4g} s"
