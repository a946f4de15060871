"""A tape of trades around a latent price: orders, sweeps, sides, ticks and amounts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.market.synthetic.grids import dithered, on_grid
from apex_trader.market.synthetic.processes import ornstein_uhlenbeck
from apex_trader.market.types import Trades

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Half-life of bursts of activity, seconds.
BURST_HALF_LIFE = 20.0
#: Chance that the next trade of a sweep takes from the next price level.
LEVEL_CHANCE = 0.3
MILLISECOND = 1_000


@dataclass(frozen=True)
class TapeLaw:
    """How orders and trades arise; fields as in the generators' parameters of the same names."""

    trades_per_second: float
    sweep: float
    burstiness: float
    notional: float
    amount_dispersion: float
    flow: float
    spread_ticks: float
    tick_size: float
    lot_size: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> TapeLaw:
        """The tape's part of a generator's resolved parameters."""
        return cls(**{name: parameters[name] for name in cls.__dataclass_fields__})


@njit(cache=True, nogil=True)
def _bridge(second: I64, fraction: F64, normal: F64) -> F64:
    """Brownian bridge from 0 to 0 over every second, at ascending fractions of it."""
    path = np.empty(len(second))
    last_second, last_fraction, value = -1, 0.0, 0.0
    for k in range(len(second)):
        if second[k] != last_second:
            last_second, last_fraction, value = second[k], 0.0, 0.0
        left = 1.0 - last_fraction
        step = fraction[k] - last_fraction
        rest = 1.0 - fraction[k]
        value = value * rest / left + math.sqrt(max(step * rest / left, 0.0)) * normal[k]
        last_fraction = fraction[k]
        path[k] = value
    return path


@njit(cache=True, nogil=True)
def sweep_offsets(first: I64, up: NDArray[np.bool_]) -> I64:
    """Levels that each trade stands away from its order's first; ``first`` [orders] rows."""
    offset = np.zeros(len(up), np.int64)
    for order in range(len(first)):
        stop = first[order + 1] if order + 1 < len(first) else len(up)
        for k in range(first[order] + 1, stop):
            offset[k] = offset[k - 1] + up[k]
    return offset


def activity(sigma: F64, typical: float, burstiness: float, rng: np.random.Generator) -> F64:
    """Relative rate of orders in each second [n], of mean about 1.

    It follows volatility and bursts of its own (a doubly stochastic Poisson process, Cox 1955),
    never the direction of the price.
    """
    burst = ornstein_uhlenbeck(np.ones(len(sigma)), BURST_HALF_LIFE, rng)[1:]
    rate: F64 = sigma / typical * np.exp(burstiness * burst - 0.5 * burstiness * burstiness)
    return rate


def lots(count: int, law: TapeLaw, price: F64 | float, rng: np.random.Generator) -> I64:
    """Heavy-tailed (log-normal) amounts in lots [count], mean traded value ``law.notional``."""
    spread = law.amount_dispersion
    factor = np.exp(spread * rng.standard_normal(count) - 0.5 * spread * spread)
    return np.maximum(np.rint(law.notional * factor / price / law.lot_size), 1.0).astype(np.int64)


def trades_of_day(
    start: int,
    mid: F64,
    sigma: F64,
    typical: float,
    law: TapeLaw,
    rng: np.random.Generator,
    first_id: int = 0,
) -> Trades:
    """Trades of the seconds from ``start`` (µs UTC) around a latent price.

    mid [n + 1] natural log of the price at the seconds' edges; sigma [n] its volatility per
    √second, ``typical`` the long-run one. Given ``mid`` up to a second's start, everything that
    follows is as likely as its mirror image: sides answer to the move *within* their own second,
    and ticks are rounded so that their mean is the exact price. So whatever edge the market has is
    in ``mid``, and a martingale stays one in the prices at which orders fill.
    """
    rate = law.trades_per_second / law.sweep * activity(sigma, typical, law.burstiness, rng)
    second = np.repeat(np.arange(len(sigma)), rng.poisson(rate))
    moment = np.sort(second + rng.random(len(second)))
    second = np.minimum(moment.astype(np.int64), len(sigma) - 1)
    fraction = np.minimum(moment - second, 1.0)
    move = np.diff(mid)
    inside = _bridge(second, fraction, rng.standard_normal(len(second)))
    latent = mid[second] + move[second] * fraction + sigma[second] * inside
    chance = 1.0 / (1.0 + np.exp(-2.0 * law.flow * move / sigma))
    side = np.where(rng.random(len(second)) < chance[second], 1, -1)
    half_spread = 0.5 * law.spread_ticks
    ticks = dithered(np.exp(latent) / law.tick_size + side * half_spread, rng)
    time = start + second * 1_000_000 + (fraction * 1_000.0).astype(np.int64) * MILLISECOND
    return _sweeps(
        np.minimum(time, start + second * 1_000_000 + 999_000), ticks, side, law, rng, first_id
    )


def _sweeps(
    time: I64, ticks: I64, side: I64, law: TapeLaw, rng: np.random.Generator, first_id: int
) -> Trades:
    """Each order as one or more trades of the same time and side, walking away from its first."""
    trades = rng.geometric(1.0 / law.sweep, len(time))
    first = np.cumsum(trades) - trades
    order = np.repeat(np.arange(len(time)), trades)
    offset = sweep_offsets(first, rng.random(len(order)) < LEVEL_CHANCE)
    price = on_grid(np.maximum(ticks[order] + side[order] * offset, 1), law.tick_size)
    amount = on_grid(lots(len(order), law, price, rng), law.lot_size)
    ids = first_id + np.arange(len(order), dtype=np.int64)
    return Trades(time[order], price, amount, side[order].astype(np.int8), ids)
