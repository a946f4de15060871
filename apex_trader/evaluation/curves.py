"""What the same agent earns when trading costs more, or takes longer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.baselines import executed_positions, wanted_policy
from apex_trader.evaluation.missing import Figure
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.sharpe import annual_sharpe
from apex_trader.evaluation.statistics import MIN_DAYS
from apex_trader.market.fills import FillConfig, order_fills
from apex_trader.market.source import MarketSource
from apex_trader.state.outcomes import fill_prices
from apex_trader.time import DAY, day_start
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath

#: Highest fee that a configuration takes.
MOST = 0.1


@dataclass(frozen=True)
class CurvePoint:
    """The agent under one assumption.

    fee: of the traded value, an order. latency: seconds, NaN for the fills of bars at their own
    price. net_return: of the period. sharpe: annualised. trades: orders filled. unfilled: share of
    the decisions whose order nobody would have filled.
    """

    fee: float
    latency: float
    net_return: float
    sharpe: Figure
    trades: int
    unfilled: float


def curve_point(path: MarketPath, record: Record, fee: float, latency: float) -> CurvePoint:
    """The point of a record of a path."""
    daily = record.daily_returns()[1]
    ratio = annual_sharpe(daily) if len(daily) >= MIN_DAYS else math.nan
    sharpe = Figure(ratio) if math.isfinite(ratio) else Figure.lacking("not enough data")
    missed = np.isnan(path.arrays.fill_price[path.startable]).mean()
    return CurvePoint(
        fee, latency, float(record.equity[-1] - 1.0), sharpe, int(record.traded.sum()),
        float(missed),
    )  # fmt: skip


def break_even_fee(
    path: MarketPath, record: Record, trading: TradingConfig, reward: RewardConfig
) -> Figure:
    """The fee an order at which the record's own positions would have earned nothing.

    The positions stay what they were, also where another fee would have changed the agent's mind;
    slippage and funding stay as well. No figure without trades, or where they lose before fees.
    """
    if not record.traded.any():
        return Figure.lacking("no order was filled")
    policy = wanted_policy("kept", executed_positions(path, record), Actions.of(trading))

    def earned(fee: float) -> float:
        kept = run_continuous(path, policy, replace(trading, fee=fee), reward, terms=False)
        return math.log(max(float(kept.equity[-1]), 1e-300))

    if earned(0.0) <= 0.0:
        return Figure.lacking("it loses before fees")
    if earned(MOST) > 0.0:
        return Figure.lacking(f"it earns even at {MOST:.0%} an order")
    return Figure(float(brentq(earned, 0.0, MOST, xtol=1e-7)))


def refilled(path: MarketPath, source: MarketSource, clock: str, fills: FillConfig) -> MarketPath:
    """The path as it fills under another latency; funding stays with the steps it was booked to.

    clock: the state's fast clock, on whose prices orders fill.
    """
    arrays = path.arrays.copy()
    for first, stop in zip(path.first_row[:-1], path.first_row[1:], strict=True):
        ts = np.ascontiguousarray(arrays.ts[first:stop])
        day = day_start(int(ts[0]))
        prices = fill_prices(source, clock, day, day + DAY, fills)
        arrays.fill_price[first:stop], arrays.fill_ts[first:stop] = order_fills(
            ts, prices, fills.latency, fills.max_fill_wait, fills.bar_fill
        )
    return replace(path, arrays=arrays)


def latencies(wanted: Sequence[float], fills: FillConfig, interval: int, bars: bool) -> list[float]:
    """Those of ``wanted`` seconds after which an order is filled before the next decision."""
    longest = interval if bars else interval - fills.max_fill_wait
    return [seconds for seconds in wanted if seconds * 1e6 <= longest]
