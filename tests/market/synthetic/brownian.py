"""Trades of two correlated Brownian motions: nothing foretells them, and they are quickly drawn."""

from __future__ import annotations

import numpy as np

from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.synthetic.grids import dithered, on_grid
from apex_trader.market.types import Bars, Trades
from apex_trader.time import DAY

#: Deviation of a log return per √second, and the two symbols' correlation.
VOLATILITY, CORRELATION = 1e-4, 0.8
TICK = 0.01


def brownian_tapes(
    start: int, days: int, hours: int, rate: float, seed: int
) -> tuple[Trades, Trades]:
    """Tapes of ``rate`` orders a second at Poisson times in the first hours of days. Of one trade,
    on the tick, with the exact price as its mean. The nights take no time."""
    rng = np.random.default_rng(seed)
    session = hours * 3600.0
    second = np.sort(rng.random(rng.poisson(2 * rate * days * session)) * days * session)
    moves = rng.standard_normal((2, len(second))) * np.sqrt(np.diff(second, prepend=0.0))
    moves[1] = CORRELATION * moves[0] + np.sqrt(1 - CORRELATION**2) * moves[1]
    price = 2500.0 * np.exp(VOLATILITY * np.cumsum(moves, axis=1))
    day = np.floor(second / session)
    milli = ((second - day * session) * 1000).astype(np.int64)
    ts = start + day.astype(np.int64) * DAY + milli * 1000
    first = rng.random(len(second)) < 0.5
    tapes = []
    for k, own in enumerate((first, ~first)):
        number = int(own.sum())
        side = np.where(rng.random(number) < 0.5, 1, -1).astype(np.int8)
        prices = on_grid(dithered(price[k, own] / TICK, rng), TICK)
        tapes.append(Trades(ts[own], prices, np.full(number, 0.01), side, np.arange(number)))
    return tapes[0], tapes[1]


def minute_bars(tape: Trades, start: int, days: int) -> Bars:
    """Their minutes."""
    seconds = bars_from_seconds(seconds_from_trades(tape))
    return resample(seconds, "1m", np.array([[start, start + days * DAY]]))


def walks(minutes: int, moments: int, seed: int) -> np.ndarray:
    """Brownian motions from 0 at the first of random moments to the last [minutes, moments]."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1.0, (minutes, moments - 1))
    gaps /= gaps.sum(axis=1, keepdims=True)
    path = np.cumsum(np.sqrt(gaps) * rng.standard_normal(gaps.shape), axis=1)
    return np.concatenate([np.zeros((minutes, 1)), path], axis=1)
