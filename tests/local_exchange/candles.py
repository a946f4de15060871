"""Klines of a listing: its own bars, those it lacks made of what is finer; and the forming one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apex_trader.market import intervals
from apex_trader.market.kinds import concatenate
from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.types import F64, I64, Bars, Trades
from apex_trader.time import CLOCKS
from tests.local_exchange.feed import Listing, Venue

VALUES = ("open", "high", "low", "close", "volume", "taker_buy_volume", "count")


def intervals_of(venue: Venue) -> list[str]:
    """Kline intervals that a venue offers; futures have no seconds."""
    return [clock for clock in CLOCKS if venue == "spot" or clock != "1s"]


class Candles:
    """The bars of one listing on every clock, each made once."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._whole: dict[str, Bars] = {}

    def whole(self, clock: str) -> Bars:
        """All bars that the listing will ever have, the edges' partial ones too."""
        if clock not in self._whole:
            self._whole[clock] = self._make(clock)
        return self._whole[clock]

    def between(self, clock: str, start: int, end: int, now: int) -> Bars:
        """Bars that open in [start, end), closed by ``now``, and the one that forms at ``now``."""
        step = CLOCKS[clock]
        opened = now // step * step
        closed = self.whole(clock).between(start, min(end, opened))
        if not start <= opened < end:
            return closed
        forming = self.forming(clock, now)
        return closed if forming is None else _joined(clock, [closed, forming])

    def forming(self, clock: str, now: int) -> Bars | None:
        """The bar that is open at ``now``, of what is known of it; None outside the listing."""
        opened = now // CLOCKS[clock] * CLOCKS[clock]
        whole = self.whole(clock)
        at = int(np.searchsorted(whole.ts, opened))
        if at == len(whole) or whole.ts[at] != opened:
            return None
        seen = self._seen(clock, opened, now)
        if len(seen):
            return resample(seen, clock, intervals.one(opened, opened + CLOCKS[clock]))
        flat = whole.slice(at, at + 1)
        price = flat.open
        if not self._own(clock, opened):
            if at == 0:
                return None
            price = whole.close[at - 1 : at]
        # Of a bar that just opened nothing is known but where it starts.
        nothing = np.zeros(1)
        return replace(
            flat, open=price, high=price, low=price, close=price, volume=nothing,
            taker_buy_volume=nothing, count=nothing,
        )  # fmt: skip

    def _seen(self, clock: str, opened: int, now: int) -> Bars:
        """1 s bars of the trades in [opened, now], or finer bars closed by now."""
        trades = self._listing.trades
        if len(trades):
            low, high = np.searchsorted(trades.ts, [opened, now + 1])
            rows = self._listing.rows_by(now, np.arange(low, high))
            return bars_from_seconds(seconds_from_trades(trades.take(rows)))
        for finer in CLOCKS:
            if CLOCKS[finer] < CLOCKS[clock] and finer in self._listing.bars:
                bars = self._listing.bars[finer]
                return bars.between(opened, now - bars.step + 1)
        return self.whole(clock).slice(0, 0)

    def _own(self, clock: str, opened: int) -> bool:
        """Whether the listing has that bar itself."""
        return clock in self._listing.bars and opened in self._listing.bars[clock].ts

    def _make(self, clock: str) -> Bars:
        own = self._listing.bars.get(clock)
        if own is None:
            return self._made(clock)
        made = self._made(clock)
        # Only bars with trades: whether the others were quiet or are a hole, nobody can tell.
        lacking = made.take((made.volume > 0) & ~np.isin(made.ts, own.ts))
        if len(lacking) == 0:
            return own
        joined = _joined(clock, [own, lacking])
        return joined.take(np.argsort(joined.ts, kind="stable").astype(np.int64))

    def _made(self, clock: str) -> Bars:
        """Bars of the whole listing made of what is finer."""
        step = CLOCKS[clock]
        finer = [c for c in self._listing.bars if CLOCKS[c] < step]
        source = _trade_bars(self._listing.trades)
        if finer:
            source = self.whole(max(finer, key=lambda name: CLOCKS[name]))
        if len(source) == 0:
            return replace(source, clock=clock)
        edges = source.ts[0] // step * step, -(-(source.ts[-1] + source.step) // step) * step
        made = resample(source, clock, intervals.one(int(edges[0]), int(edges[1])))
        return made if finer else _carried(made)


def quote_volume(bars: Bars, volume: F64) -> F64:
    """Traded value: no source of ours has it, so it is the volume at the bar's typical price."""
    return volume * (bars.high + bars.low + bars.close) / 3


def _trade_bars(trades: Trades) -> Bars:
    return bars_from_seconds(seconds_from_trades(trades))


def _carried(bars: Bars) -> Bars:
    """A quiet bar between two others carries the last price with volume 0, as on the exchange."""
    at: I64 = (bars.ts - bars.ts[0]) // bars.step
    ts = bars.ts[0] + np.arange(int(at[-1]) + 1) * bars.step
    last = np.searchsorted(at, np.arange(len(ts)), side="right") - 1
    quiet = bars.ts[last] != ts
    values = {name: getattr(bars, name)[last] for name in VALUES}
    for name in ("open", "high", "low"):
        values[name] = np.where(quiet, values["close"], values[name])
    for name in ("volume", "taker_buy_volume", "count"):
        values[name] = np.where(quiet, 0.0, values[name])
    return Bars(ts.astype(np.int64), clock=bars.clock, **values)


def _joined(clock: str, parts: list[Bars]) -> Bars:
    joined = concatenate(clock, list(parts))
    assert isinstance(joined, Bars)
    return joined
