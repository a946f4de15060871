"""Two sets of weights over the same stretches of a market: which one did better, and how surely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """What came of a candidate beside the weights that are in use.

    returns, others: net log returns of both over all stretches. t: the mean of their differences,
    in standard errors of it (0 where they never differ). better: the candidate replaces the
    others. reason: why, in figures.
    """

    returns: float
    others: float
    t: float
    better: bool
    reason: str


def compare(returns: Sequence[float], others: Sequence[float], margin: float) -> Comparison:
    """Compare net log returns [n] of a candidate with those of the weights in use, n ≥ 2.

    The stretches are the same, so the market's own move is in both and goes out in the differences.
    Better: a larger sum, by at least ``margin`` standard errors of the paired differences. Equal
    weights never are.
    """
    mine, theirs = np.asarray(returns, np.float64), np.asarray(others, np.float64)
    if len(mine) != len(theirs) or len(mine) < 2:
        raise ValueError("a comparison needs two stretches or more, the same of both")
    t = _t_of(mine - theirs)
    a, b = float(mine.sum()), float(theirs.sum())
    better = a > b and t > 0.0 and t >= margin
    said = f"{a:+.3%} against {b:+.3%} over {len(mine)} parts, {t:+.2f} standard errors"
    return Comparison(a, b, t, better, said if better else f"{said}, {margin:g} are asked for")


def _t_of(differences: np.ndarray) -> float:
    """Mean over its standard error; ±∞ where all differences are the same."""
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    if error > 0.0:
        return mean / error
    return math.copysign(math.inf, mean) if mean else 0.0
