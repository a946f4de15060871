"""How far chance alone moves an account: its own days, drawn anew in blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.report.data import Band
from apex_trader.evaluation.statistics import MIN_DAYS

F64 = NDArray[np.float64]

DRAWS = 2_000


def band_of(
    record: Record, random: np.random.Generator, block: float | None = None, draws: int = DRAWS
) -> Band | None:
    """95% band of the record's return since the start; None below ``MIN_DAYS`` days.

    Stationary bootstrap (Politis & Romano 1994). block: days that stay together on average, n^⅓ by
    default.
    """
    from arch.bootstrap import StationaryBootstrap  # imports slowly, in every worker

    days, daily = record.daily_returns()
    if len(days) < MIN_DAYS:
        return None
    length = block if block and block >= 1.0 else len(days) ** (1.0 / 3.0)
    sampler = StationaryBootstrap(length, daily, seed=random)
    paths: F64 = sampler.apply(lambda drawn: np.cumprod(1.0 + drawn) - 1.0, draws)
    low, high = np.quantile(paths, [0.025, 0.975], axis=0)
    return Band(days, low, high, draws)
