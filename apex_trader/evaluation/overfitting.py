"""Probability of backtest overfitting: does the trial that won keep winning on other days?

Combinatorially symmetric cross-validation (Bailey, Borwein, López de Prado & Zhu 2017, section 3):
the days are cut into S blocks; of every way to choose half of them, the trial with the best Sharpe
ratio there is ranked on the other half. The probability is the share of ways in which it ends up in
the lower half; the very middle, which an odd number of trials has, counts half, so that choosing
among noise is a coin toss for any number of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.missing import NOT_ENOUGH, Figure

F64 = NDArray[np.float64]

#: Blocks of days at most (12,870 ways), and trials and days at least.
MOST_BLOCKS, MIN_TRIALS, MIN_DAYS = 16, 2, 8


@dataclass(frozen=True)
class Overfitting:
    """What choosing among trials is worth.

    probability: of the winner ending in the lower half. loss: chance that the winner loses money
    out of sample. slope: of out-of-sample on in-sample Sharpe ratio of the winners; below 0,
    choosing hurts. trials, days, blocks: what was compared, and how it was cut.
    """

    probability: Figure
    loss: Figure
    slope: Figure
    trials: int
    days: int
    blocks: int


def overfitting(returns: F64) -> Overfitting:
    """Of daily returns [days, trials] of all trials on the same days, in time order."""
    days, trials = returns.shape
    lacking = _why_not(returns)
    if lacking is not None:
        return Overfitting(lacking, lacking, lacking, trials, days, 0)
    blocks = min(MOST_BLOCKS, days // 2 // 2 * 2)
    chosen = _halves(blocks)
    count, total, square = (_by_block(values, blocks) for values in (
        np.ones_like(returns), returns, returns**2
    ))  # fmt: skip
    inside = _sharpe(chosen @ count, chosen @ total, chosen @ square)
    outside = _sharpe(~chosen @ count, ~chosen @ total, ~chosen @ square)
    best = inside.argmax(1)
    ways = np.arange(len(chosen))
    won = outside[ways, best]
    # relative rank in (0, 1), ties in their middle
    below = (outside < won[:, None]).sum(1) + 0.5 * ((outside == won[:, None]).sum(1) - 1)
    rank = (below + 1.0) / (trials + 1.0)
    fitted = np.polyfit(inside[ways, best], won, 1)[0] if np.ptp(inside[ways, best]) > 0 else None
    return Overfitting(
        Figure(float((rank < 0.5).mean() + 0.5 * (rank == 0.5).mean())),
        Figure(float((won < 0.0).mean())),
        Figure(float(fitted)) if fitted is not None else Figure.lacking("one way wins everywhere"),
        trials, days, blocks,
    )  # fmt: skip


def _why_not(returns: F64) -> Figure | None:
    days, trials = returns.shape
    if trials < MIN_TRIALS:
        return Figure.lacking(NOT_ENOUGH, f"{trials} of at least {MIN_TRIALS} trials")
    if days < MIN_DAYS:
        return Figure.lacking(NOT_ENOUGH, f"{days} of at least {MIN_DAYS} days in common")
    if (returns == returns[:, :1]).all():
        return Figure.lacking("the trials do not differ", "each of them earned the same every day")
    return None


def _halves(blocks: int) -> NDArray[np.bool_]:
    """[ways, blocks]: every choice of half of the blocks."""
    ways = list(combinations(range(blocks), blocks // 2))
    chosen = np.zeros((len(ways), blocks), np.bool_)
    chosen[np.repeat(np.arange(len(ways)), blocks // 2), np.concatenate(ways)] = True
    return chosen


def _by_block(values: F64, blocks: int) -> F64:
    """[blocks, trials] sums over blocks of days as equal as they can be."""
    return np.stack([part.sum(0) for part in np.array_split(values, blocks)])


def _sharpe(count: F64, total: F64, square: F64) -> F64:
    """Mean over deviation; 0 where nothing varies."""
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0.0)
    deviation = np.sqrt(variance)
    ratio: F64 = np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 1e-15)
    return ratio
