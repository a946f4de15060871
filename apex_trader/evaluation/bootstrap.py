"""Intervals of what a day earns, and of what it earns above a baseline, by resampling days.

The stationary bootstrap (Politis & Romano 1994) draws runs of days of random length, so that days
that depend on their neighbours stay together; agent and baselines are drawn with the same days.
Mean block length: Politis & White (2004), corrected 2009, of the series that depends most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.missing import NOT_ENOUGH, Figure
from apex_trader.evaluation.statistics import MIN_DAYS

F64 = NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """Of a mean log return a day.

    mean: observed. low, high: ends of the 95% percentile interval. below: share of the draws with a
    mean of 0 or less, a one-sided p-value.
    """

    mean: Figure
    low: Figure
    high: Figure
    below: Figure


@dataclass(frozen=True)
class BootstrapResult:
    """Intervals of the agent's own log returns a day and of their difference to each baseline's.

    days, draws, block: days resampled, how often, and the mean length of a run of days.
    """

    days: int
    draws: int
    block: float
    agent: Interval
    against: dict[str, Interval]


def bootstrap(
    agent: F64, baselines: Mapping[str, F64], draws: int, random: np.random.Generator
) -> BootstrapResult:
    """agent [d] and each baseline's [d] log returns of the same days, in time order."""
    series = np.stack([agent, *(agent - other for other in baselines.values())], axis=1)
    days = len(agent)
    if days < MIN_DAYS:
        lacking = Figure.lacking(NOT_ENOUGH, f"{days} of at least {MIN_DAYS} days")
        none = Interval(lacking, lacking, lacking, lacking)
        return BootstrapResult(days, 0, 0.0, none, dict.fromkeys(baselines, none))
    block = _block(series)
    means = _draw_means(series, block, draws, random)
    found = [_interval(series[:, i], means[:, i]) for i in range(series.shape[1])]
    against = dict(zip(baselines, found[1:], strict=True))
    return BootstrapResult(days, draws, block, found[0], against)


def _draw_means(series: F64, block: float, draws: int, random: np.random.Generator) -> F64:
    """[draws, k] means of resampled days."""
    from arch.bootstrap import StationaryBootstrap  # imports slowly, in every worker

    sampler = StationaryBootstrap(block, series, seed=random)
    means: F64 = sampler.apply(lambda drawn: drawn.mean(0), draws)
    return means


def _block(series: F64) -> float:
    """Mean block length: at least 1, at most a third of the days."""
    from arch.bootstrap import optimal_block_length

    varied = series[:, np.ptp(series, axis=0) > 0.0]
    if not varied.shape[1] or len(series) < 16:  # too few for autocovariances
        return 1.0
    lengths = optimal_block_length(varied)["stationary"].to_numpy()
    longest = float(np.nanmax(lengths)) if np.isfinite(lengths).any() else 1.0
    return min(max(longest, 1.0), len(series) / 3.0)


def _interval(observed: F64, means: F64) -> Interval:
    tail = 0.5 * (1.0 - CONFIDENCE)
    low, high = np.quantile(means, [tail, 1.0 - tail])
    below = float((means <= 0.0).mean())
    return Interval(
        Figure(float(observed.mean())), Figure(float(low)), Figure(float(high)), Figure(below)
    )
