"""A planted market as the simulator's path, from its prices alone: a day in a few milliseconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.market.fills import FillConfig, order_fills
from apex_trader.market.source import MarketSource
from apex_trader.market.types import Bars, Trades
from apex_trader.time import DAY, MINUTE
from apex_trader.trading.path import EVENT, ROW, MarketPath

I64 = NDArray[np.int64]

#: A price older than this ends an episode, on trades and on minute bars.
_MAX_AGE, _MAX_BAR_AGE = MINUTE, 10 * MINUTE


def market_path(
    source: MarketSource, start: int, end: int, interval: int, fills: FillConfig
) -> MarketPath:
    """Decisions every ``interval`` µs in [start, end), an episode a day, as a builder makes them.

    Marks and fills are those of ``SegmentBuilder``; features are not computed, so pivots, regime
    and σ, which only the agents' account features need, are 0. Policies that read rows and
    positions alone run on it as on a path of segments. ApexError when there are no prices.
    """
    trades = source.trades(start - DAY, end + interval)
    prices = source.bars("1m") if trades is None else trades
    if not len(prices):
        raise ApexError(f"{source.info.market} has no prices to trade on: choose another period")
    fills.check(interval, bars=trades is None)
    ts = np.arange(-(-start // interval) * interval, end, interval, dtype=np.int64)
    rows = np.zeros(len(ts), ROW).view(np.recarray)
    rows["ts"] = ts
    known, rows["mark"] = _marks(prices, ts)
    rows["fill_price"], rows["fill_ts"] = order_fills(
        ts, prices, fills.latency, fills.max_fill_wait, fills.bar_fill
    )
    rows["next_row"] = -1
    going_on = np.flatnonzero(known[:-1] & known[1:] & (ts[:-1] // DAY == ts[1:] // DAY))
    rows["next_row"][going_on] = going_on + 1
    _charge_funding(rows, source, interval, fills)
    startable = rows["next_row"] >= 0
    key = f"{source.info.market} {start} {end} {interval} {fills}"
    first_row = np.array([0, len(ts)], np.int64)
    events = np.zeros(0, EVENT).view(np.recarray)
    return MarketPath((key,), first_row, np.zeros(len(ts), np.float32), startable, rows, events)


def _marks(prices: Trades | Bars, ts: I64) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(whether a fresh price is known [n], ln of it [n]) at each time."""
    made = prices.ts + (prices.step - 1 if isinstance(prices, Bars) else 0)
    price = prices.close if isinstance(prices, Bars) else prices.price
    place = np.searchsorted(made, ts, side="left") - 1
    last = np.maximum(place, 0)
    oldest = _MAX_BAR_AGE if isinstance(prices, Bars) else _MAX_AGE
    return (place >= 0) & (ts - made[last] <= oldest), np.log(price[last])


def _charge_funding(
    rows: np.recarray, source: MarketSource, interval: int, fills: FillConfig
) -> None:
    """Payments of each interval: as ``state.outcomes`` books them."""
    ts = rows["ts"]
    late = 0 if fills.optimistic else max(0, fills.latency - 1)
    times, rates = source.funding(int(ts[0]), int(ts[-1]) + interval + late + 1)
    paid = np.concatenate(([0.0], np.cumsum(rates)))
    low = np.searchsorted(times, ts + late, side="right")
    high = np.searchsorted(times, ts + interval + late, side="right")
    rows["funding"] = (paid[high] - paid[low]).astype(np.float32)
