"""One market's history, read from a store: the ``MarketSource`` of segment builders.

Every bar comes from the finest source that covers it whole: ticks, then 1 s, 1 m, 1 h and 1 d
bars. A bar that the finer source does not hold, or does not cover from open to close, is the
imported one, if there is one. Whether a bar is whole depends on the store's coverage alone, so a
history that ends earlier has the same bars, bit for bit, as far as it goes.

Where this market itself has nothing (outside its own coverage, up to where that ends), the bars of
its look-back market stand in, shifted by the measured basis. They give a decision its past; they
are no market to trade, so they never go on after the market's own data.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ConfigError
from apex_trader.market import intervals
from apex_trader.market.resample import bars_from_seconds, merge_bars, resample
from apex_trader.market.seconds import concatenate_seconds
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import BEGINNING, FOREVER, MarketStore
from apex_trader.market.types import I64, Bars, Seconds, Trades
from apex_trader.time import CLOCKS, DAY, MINUTE, SECOND

#: UTC days of second rows kept in memory: a builder reads a day and the day before it.
_DAYS_KEPT = 4
_FINER = {"1m": "1s", "1h": "1m", "1d": "1h"}


class StoreSource:
    """A market of a store up to ``end`` (µs UTC; None: all of it). See ``MarketSource``.

    What the store holds is read when it is first asked for, and kept: bars (about 70 bytes each),
    and a few days of second rows. A store that has grown since needs a new source.
    """

    def __init__(self, store: MarketStore, market: str, end: int | None = None) -> None:
        self.store, self.market = store, market
        self._info = store.info(market)
        self._end = FOREVER if end is None else int(end)
        self._bars: dict[str, Bars] = {}
        self._own_bars: dict[str, Bars] = {}
        self._days: OrderedDict[int, Seconds] = OrderedDict()
        self._second_days: list[int] | None = None
        self._other: StoreSource | None = None

    @property
    def info(self) -> MarketInfo:
        """What is known of the market."""
        return self._info

    @property
    def end(self) -> int:
        """Events at or after this time (µs) do not exist."""
        return self._end

    def bars(self, clock: str) -> Bars:
        """Every bar closed by ``end``; see ``MarketSource.bars`` and this module."""
        if clock not in CLOCKS:
            raise ConfigError("clock", clock, "one of " + ", ".join(CLOCKS))
        if clock not in self._bars:
            own = self.own_bars(clock)
            self._bars[clock] = merge_bars(own, self._stand_ins(clock))
        return self._bars[clock]

    def own_bars(self, clock: str) -> Bars:
        """``bars`` without the stand-ins of a look-back market."""
        if clock not in self._own_bars:
            # A bar that opens before this time is closed by ``end``.
            stop = self._end - CLOCKS[clock] + 1
            if clock == "1m":
                self._own_bars[clock] = self.own_minutes(BEGINNING, stop)
            else:
                imported = self.store.read_bars(self.market, clock, BEGINNING, stop)
                self._own_bars[clock] = merge_bars(self._finer(clock), imported)
        return self._own_bars[clock]

    def own_minutes(self, start: int, end: int) -> Bars:
        """The whole 1 m bars of the market's own sources that open in [start, end) and are closed
        by ``self.end``."""
        end = min(end, self._end - MINUTE + 1)
        minutes = self.store.read_bars(self.market, "1m", start, end)
        for kind in ("1s", "trades"):
            minutes = merge_bars(self._tick_minutes(kind, start, end), minutes)
        return minutes

    def seconds(self, start: int, end: int) -> Seconds:
        """Second rows of the market itself in [start, min(end, self.end)), whole seconds only.

        Empty where there are neither ticks nor 1 s bars. Rows do not depend on ``start``.
        """
        end = min(end, self._end) // SECOND * SECOND
        days = [day for day in self.second_days() if start - DAY < day < end]
        return concatenate_seconds([self._day(day).between(start, end) for day in days])

    def trades(self, start: int, end: int) -> Trades | None:
        """Trades in [start, min(end, self.end)); None where the store has no ticks of that time."""
        end = min(end, self._end)
        if len(intervals.clip(self.store.coverage(self.market, "trades"), start, end)) == 0:
            return None
        return self.store.read_trades(self.market, start, end)

    def second_days(self) -> list[int]:
        """Starts of the UTC days that have second rows before ``end``, ascending."""
        if self._second_days is None:
            store, market = self.store, self.market
            days = {*store.days(market, "trades"), *store.days(market, "1s")}
            self._second_days = sorted(day for day in days if self._has_seconds(day))
        return list(self._second_days)

    def funding(self, start: int, end: int) -> tuple[I64, NDArray[np.float64]]:
        """(times µs, rates) of the funding payments in [start, min(end, self.end))."""
        paid = self.store.read_funding(self.market, start, min(end, self._end))
        return paid.ts, paid.rate

    def coverage(self, clock: str) -> I64:
        """[k, 2] whole bars (µs) for which this market has its own source, up to ``end``.

        Outside it a bar is a stand-in of the look-back market: there is nothing to trade.
        """
        covered = self._covered(clock)
        return intervals.round_in(intervals.clip(covered, BEGINNING, self._end), CLOCKS[clock])

    # -- inside -------------------------------------------------------------------------------

    def _has_seconds(self, day: int) -> bool:
        """Whether that day's first second row lies before ``end``."""
        kinds = self.store.entry(self.market).kinds
        if self._end >= day + DAY:
            label = str(np.datetime64(day, "us").astype("datetime64[D]"))
            if "trades" in kinds and label in kinds["trades"].partitions:
                return True
            bars = kinds["1s"].partitions[label]
            return bars.rows > bars.zero_volume
        return day < self._end and len(self._day(day)) > 0

    def _day(self, day: int) -> Seconds:
        if day not in self._days:
            end = min(day + DAY, self._end)
            self._days[day] = self.store.read_seconds(self.market, day, end)
            while len(self._days) > _DAYS_KEPT:
                self._days.popitem(last=False)
        self._days.move_to_end(day)
        return self._days[day]

    def _covered(self, clock: str) -> I64:
        """Coverage of the bars of one clock, from any source; the store's, whatever ``end``."""
        own = self.store.coverage(self.market, clock)
        if clock == "1s":
            return intervals.union(own, self.store.coverage(self.market, "trades"))
        step = CLOCKS[clock]
        if clock == "1m":
            finer = [
                intervals.round_in(self.store.coverage(self.market, kind), step)
                for kind in ("trades", "1s")
            ]
        else:
            finer = [intervals.round_in(self._covered(_FINER[clock]), step)]
        return intervals.union(own, *finer)

    def _own_end(self) -> int:
        """Where the market's own data ends, whatever ``end``."""
        ends = [covered[-1, 1] for clock in CLOCKS if len(covered := self._covered(clock))]
        return int(max(ends, default=BEGINNING))

    def _finer(self, clock: str) -> Bars:
        """Whole bars made of finer sources and closed by ``end``."""
        if clock == "1s":
            return bars_from_seconds(self.store.read_seconds(self.market, BEGINNING, self._end))
        finer = _FINER[clock]
        bars = resample(self.own_bars(finer), clock, self._covered(finer))
        return _closed(bars, self._end)

    def _tick_minutes(self, kind: str, start: int, end: int) -> Bars:
        bars = self.store.tick_minutes(self.market, kind, start, end)
        return resample(bars, "1m", self.store.coverage(self.market, kind))

    def _stand_ins(self, clock: str) -> Bars:
        """The look-back market's bars, at this market's price level, where it has none itself."""
        source = self._info.lookback
        if source is None:
            return self.own_bars(clock).slice(0, 0)
        if self._other is None:
            self._other = StoreSource(self.store, source.market, self._end)
        bars = self._other.own_bars(clock)
        bars = bars.slice(0, int(np.searchsorted(bars.ts, self._own_end())))
        outside = ~intervals.covers(self._covered(clock), bars.ts, bars.step)
        factor = np.exp(source.basis)
        return Bars(
            bars.ts[outside], bars.open[outside] * factor, bars.high[outside] * factor,
            bars.low[outside] * factor, bars.close[outside] * factor, bars.volume[outside],
            bars.taker_buy_volume[outside], bars.count[outside], clock=clock,
        )  # fmt: skip


def _closed(bars: Bars, end: int) -> Bars:
    """The bars that close by ``end``."""
    return bars.slice(0, int(np.searchsorted(bars.ts, end - bars.step, side="right")))
