"""Minute bars straight from a latent price on coarse steps, where no ticks are made."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.grids import COARSE, STEPS_PER_MINUTE, dithered, on_grid
from apex_trader.market.synthetic.tape import TapeLaw
from apex_trader.market.types import Bars
from apex_trader.time import SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Deviation of a minute's bursts of activity, in logs.
BURST = 0.3


def minute_bars(
    edges: I64,
    mid: F64,
    sigma: F64,
    typical: float,
    law: TapeLaw,
    rng: np.random.Generator,
) -> Bars:
    """Bars of whole minutes of coarse steps.

    edges [4m + 1] µs UTC; mid [4m + 1] log price there; sigma [4m] per √second, ``typical`` its
    long-run level. Highs and lows are those of the Brownian bridges between the edges, so they have
    the range of a continuous path. Each minute opens at the latent price of its first edge, freshly
    rounded: the open is unknown to whoever saw the minutes before.
    """
    low, high = _extremes(mid, sigma, rng)
    opened, closed = mid[:-1:STEPS_PER_MINUTE], mid[STEPS_PER_MINUTE::STEPS_PER_MINUTE]
    ticks = [
        np.maximum(dithered(np.exp(log) / law.tick_size, rng), 1)
        for log in (opened, high, low, closed)
    ]
    ticks[1] = np.maximum.reduce(ticks)
    ticks[2] = np.minimum.reduce(ticks)
    minute_sigma = np.sqrt(np.mean(sigma.reshape(-1, STEPS_PER_MINUTE) ** 2, axis=1))
    count, volume, bought = _flow(closed - opened, minute_sigma, typical, np.exp(opened), law, rng)
    o, h, lo, c = (on_grid(column, law.tick_size) for column in ticks)
    return Bars(
        edges[:-1:STEPS_PER_MINUTE].copy(),
        o,
        h,
        lo,
        c,
        on_grid(volume, law.lot_size),
        on_grid(bought, law.lot_size),
        count.astype(np.float64),
        "1m",
    )


def _extremes(mid: F64, sigma: F64, rng: np.random.Generator) -> tuple[F64, F64]:
    """(lowest, highest) log price of each minute.

    The maximum of a Brownian bridge from a to b of variance v is (a + b + √((b-a)² - 2v·ln U))/2
    with U uniform (Karatzas & Shreve 1991, section 4.3C); the minimum mirrors it. Within a step the
    two are drawn apart, across the steps of a minute they share the path.
    """
    start, end = mid[:-1], mid[1:]
    variance = 2.0 * sigma * sigma * (COARSE / SECOND)
    exponential = rng.exponential(1.0, (2, len(sigma)))
    reach = np.sqrt((end - start) ** 2 + variance * exponential)
    highest = 0.5 * (start + end + reach[0]).reshape(-1, STEPS_PER_MINUTE).max(axis=1)
    lowest = 0.5 * (start + end - reach[1]).reshape(-1, STEPS_PER_MINUTE).min(axis=1)
    return lowest, highest


def _flow(
    move: F64, sigma: F64, typical: float, price: F64, law: TapeLaw, rng: np.random.Generator
) -> tuple[I64, I64, I64]:
    """(trades, volume in lots, bought volume in lots) of each minute, in the tape's image."""
    n = len(move)
    burst = np.exp(BURST * law.burstiness * rng.standard_normal(n))
    count = np.maximum(rng.poisson(60.0 * law.trades_per_second * sigma / typical * burst), 1)
    # relative deviation of a sum of `count` log-normal amounts
    deviation = np.sqrt(np.expm1(law.amount_dispersion**2) / count)
    spread = np.sqrt(np.log1p(deviation * deviation))
    size = np.exp(spread * rng.standard_normal(n) - 0.5 * spread * spread)
    volume = np.maximum(np.rint(count * size * law.notional / price / law.lot_size), count)
    lean = 0.5 * math.tanh(law.flow) * move / (sigma * 60.0)
    noise = 0.5 * np.minimum(deviation, 1.0) * math.sqrt(law.sweep) * rng.standard_normal(n)
    bought = np.rint(volume * np.clip(0.5 + lean + noise, 0.0, 1.0))
    return count.astype(np.int64), volume.astype(np.int64), bought.astype(np.int64)
