"""A market's history with a live stream behind it: a ``MarketSource`` whose end moves on.

Its bars are those that a store gives once it holds the same trades, bit for bit: minutes are made
of seconds, hours of minutes, days of hours, and only bars that the market's own data span whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError, ConfigError, DataError
from apex_trader.market import intervals
from apex_trader.market.growing import GrowingRows, join
from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.source import MarketInfo, MarketSource
from apex_trader.market.types import I64, Bars, Funding, Seconds, Trades
from apex_trader.time import CLOCKS, DAY, MINUTE, SECOND, format_time

_FINER = {"1h": "1m", "1d": "1h"}
_COARSE = ("1m", "1h", "1d")


class GrowingSource:
    """A market up to a moving ``end``: first that of ``history``, then of the last ``append``.

    Args:
        history: the market up to where the stream begins, its ``end`` (a whole second). Where it
            has nothing just before that, there is a gap, and no bar is made across it.

    Raises:
        ConfigError: the history has no end, or one within a second.
    """

    def __init__(self, history: MarketSource) -> None:
        if history.end % SECOND or history.end >= np.iinfo(np.int64).max // 2:
            raise ConfigError("history.end", history.end, "a whole second, where the stream begins")
        self._history, self._start, self._end = history, history.end, history.end
        self._bars = {clock: GrowingRows(history.bars(clock)) for clock in _COARSE}
        self._before = {c: history.coverage(c) for c in CLOCKS}
        self._joined = self._joins()
        nothing = np.empty(0)
        #: Seconds and trades are held from here on.
        self._held = -(2**62)
        self._seconds = GrowingRows(_no_seconds())
        self._begun, self._trades = False, cast("GrowingRows[Trades] | None", None)
        self._funding = GrowingRows(Funding(np.empty(0, np.int64), nothing))

    @property
    def info(self) -> MarketInfo:
        """What is known of the market."""
        return self._history.info

    @property
    def end(self) -> int:
        """Events at or after this time (µs) do not exist yet."""
        return self._end

    def append(
        self,
        until: int,
        seconds: Seconds,
        trades: Trades | None = None,
        funding: Funding | None = None,
    ) -> None:
        """Go on to ``until`` (µs, a whole second) with all that happened since ``end``.

        seconds: those with trades; trades: what they are made of, always or never given.
        DataError when something lies outside that time or out of order.
        """
        name = self.info.market
        if until % SECOND or until < self._end:
            raise DataError(
                f"stream of {name}", f"it goes on to {format_time(until)} from "
                f"{format_time(self._end)}", "Close whole seconds, in order.",
            )  # fmt: skip
        for kind, rows in (("seconds", seconds), ("trades", trades), ("funding", funding)):
            if rows is not None:
                self._check(kind, rows.ts, until, strict=kind != "trades")
        self._take_trades(trades)
        self._seconds.append(seconds)
        if funding is not None:
            self._funding.append(funding)
        before, self._end = self._end, until
        for clock in _COARSE:
            if self._end // CLOCKS[clock] > before // CLOCKS[clock]:
                self._bars[clock].append(self._closed(clock, before))

    def forget(self, before: int) -> None:
        """Drop seconds and trades of the stream before a time (µs); bars are kept.

        Asking for such a time afterwards is an ApexError.
        """
        if before <= self._start:
            return
        self._held = max(self._held, before)
        self._seconds.forget(before)
        if self._trades is not None:
            self._trades.forget(before)

    def bars(self, clock: str) -> Bars:
        """See ``MarketSource.bars``."""
        if clock == "1s":
            self._check_held(self._start)
            return join(self._history.bars("1s"), bars_from_seconds(self._seconds.rows))
        return self._bars[clock].rows

    def seconds(self, start: int, end: int) -> Seconds:
        """See ``MarketSource.seconds``."""
        self._check_held(start)
        here = self._seconds.rows.between(start, min(end, self._end))
        if start >= self._start:
            return here
        return join(self._history.seconds(start, min(end, self._start)), here)

    def trades(self, start: int, end: int) -> Trades | None:
        """See ``MarketSource.trades``."""
        self._check_held(start)
        old = None if start >= self._start else self._history.trades(start, min(end, self._start))
        if self._trades is None or end <= self._start:
            return old
        here = self._trades.rows.between(start, min(end, self._end))
        return here if old is None else join(old, here)

    def second_days(self) -> list[int]:
        """See ``MarketSource.second_days``."""
        grown = np.unique(self._seconds.rows.ts // DAY * DAY)
        return sorted({*self._history.second_days(), *(int(day) for day in grown)})

    def coverage(self, clock: str) -> I64:
        """See ``MarketSource.coverage``: from its start on the stream speaks for everything."""
        step = CLOCKS[clock]
        if clock == "1s":
            return intervals.union(self._before["1s"], intervals.one(self._start, self._end))
        if clock == "1m":
            early = 0 if self._joined else MINUTE - 1
            start = (self._start + early) // MINUTE * MINUTE
            finer = intervals.one(start, self._end // step * step)
        else:
            finer = intervals.round_in(self.coverage(_FINER[clock]), step)
        return intervals.union(self._before[clock], finer)

    def funding(self, start: int, end: int) -> tuple[I64, NDArray[np.float64]]:
        """See ``MarketSource.funding``."""
        times, rates = self._history.funding(start, min(end, self._start))
        here = self._funding.rows.between(start, min(end, self._end))
        return np.concatenate((times, here.ts)), np.concatenate((rates, here.rate))

    # -- inside -------------------------------------------------------------------------------

    def _joins(self) -> bool:
        """Whether the minute in which the stream begins is made of the history's trades too.

        Seconds that come from imported bars and seconds of trades make no minute together.
        """
        minute = self._start // MINUTE * MINUTE
        if minute == self._start:
            return True
        whole = intervals.covers(self._before["1s"], np.array([minute]), self._start - minute)
        return bool(whole[0]) and self._history.trades(minute, self._start) is not None

    def _closed(self, clock: str, before: int) -> Bars:
        """The bars of a clock that close in (before, end]."""
        step = CLOCKS[clock]
        start, end = before // step * step, self._end // step * step
        covered = self.coverage(_FINER.get(clock, "1m"))
        if clock == "1m":
            parts = bars_from_seconds(self.seconds(start, end))
        else:
            parts = self._bars[_FINER[clock]].rows.between(start, end)
        return resample(parts, clock, covered)

    def _check_held(self, start: int) -> None:
        if start < self._held:
            raise ApexError(
                f"{self.info.market} from {format_time(start)} on is no longer held: what the "
                f"stream gave is kept from {format_time(self._held)} on"
            )

    def _take_trades(self, trades: Trades | None) -> None:
        if not self._begun and trades is not None:
            self._trades = GrowingRows(trades)
        elif (self._trades is None) != (trades is None):
            raise ApexError(
                f"the stream of {self.info.market} must give its trades from the first batch on, "
                "or never: orders fill on them"
            )
        elif self._trades is not None and trades is not None:
            self._trades.append(trades)
        self._begun = True

    def _check(self, kind: str, ts: I64, until: int, strict: bool) -> None:
        steps = np.diff(ts)
        ordered = (steps > 0).all() if strict else (steps >= 0).all()
        inside = len(ts) == 0 or (ts[0] >= self._end and ts[-1] < until)
        if not (ordered and inside):
            raise DataError(
                f"stream of {self.info.market}", f"its {kind} are not all in order within "
                f"{format_time(self._end)} … {format_time(until)}",
                "A closed second never changes: give each of them once.",
            )  # fmt: skip


@dataclass(frozen=True)
class CutSource:
    """A market as it was at an earlier ``end``: what came later is hidden. See ``MarketSource``."""

    source: MarketSource
    end: int

    @property
    def info(self) -> MarketInfo:
        """What is known of the market."""
        return self.source.info

    def bars(self, clock: str) -> Bars:
        """See ``MarketSource.bars``."""
        bars = self.source.bars(clock)
        return bars.slice(0, int(np.searchsorted(bars.ts, self.end - bars.step, side="right")))

    def seconds(self, start: int, end: int) -> Seconds:
        """See ``MarketSource.seconds``."""
        return self.source.seconds(start, min(end, self.end // SECOND * SECOND))

    def trades(self, start: int, end: int) -> Trades | None:
        """See ``MarketSource.trades``."""
        return self.source.trades(start, min(end, self.end))

    def second_days(self) -> list[int]:
        """See ``MarketSource.second_days``."""
        return [
            day for day in self.source.second_days()
            if day + DAY <= self.end or len(self.seconds(day, day + DAY))
        ]  # fmt: skip

    def coverage(self, clock: str) -> I64:
        """See ``MarketSource.coverage``."""
        covered = intervals.clip(self.source.coverage(clock), np.iinfo(np.int64).min, self.end)
        return intervals.round_in(covered, CLOCKS[clock])

    def funding(self, start: int, end: int) -> tuple[I64, NDArray[np.float64]]:
        """See ``MarketSource.funding``."""
        return self.source.funding(start, min(end, self.end))


def _no_seconds() -> Seconds:
    nothing = np.empty(0)
    return Seconds(np.empty(0, np.int64), *(nothing for _ in range(15)))
