"""How far a Sharpe ratio is more than luck: probabilistic, deflated, and how long it would take.

Daily returns, 365 days a year. The formulas are skfolio's (Bailey & López de Prado 2012, The Sharpe
Ratio Efficient Frontier; 2014, The Deflated Sharpe Ratio); the minimum track record length, which
it lacks, is the same expression solved for the number of days (2012, eq. 11).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from apex_trader.evaluation.missing import NOT_ENOUGH, Figure
from apex_trader.evaluation.statistics import MIN_DAYS, YEAR

F64 = NDArray[np.float64]

#: Confidence that a track record is wanted to.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class SharpeStatistics:
    """What a Sharpe ratio says; ratios are annualised, probabilities 0…1.

    days: it is of. sharpe. probabilistic: chance that the true ratio is above 0. deflated: the same
    for the best of ``trials`` that had no skill: chance that the true ratio is above ``expected``,
    the best ratio that so many trials show by luck. minimum_days: track record length at which the
    observed ratio would differ from 0 with 95% confidence.
    """

    days: int
    sharpe: Figure
    probabilistic: Figure
    deflated: Figure
    expected: Figure
    trials: int
    minimum_days: Figure


def sharpe_statistics(daily: F64, trial_sharpes: Sequence[float], trials: int) -> SharpeStatistics:
    """Of daily returns [d]; trial_sharpes: annualised ratios of the trials that were compared, on
    the days that chose among them; trials: how many there were, those without a ratio too."""
    lacking = _why_not(daily)
    if lacking is not None:
        return SharpeStatistics(len(daily), lacking, lacking, lacking, lacking, trials, lacking)
    expected = _expected(trial_sharpes, trials)
    benchmark = 0.0 if expected.value is None else expected.value
    deflated = (
        Figure.lacking(expected.reason)
        if expected.value is None
        else _probability(daily, benchmark)
    )
    return SharpeStatistics(
        len(daily), Figure(annual_sharpe(daily)), _probability(daily, 0.0), deflated, expected,
        trials, _minimum_days(daily),
    )  # fmt: skip


def annual_sharpe(daily: F64) -> float:
    """Mean over deviation of daily returns, × √365. NaN for fewer than two days or no deviation."""
    spread = float(daily.std(ddof=1)) if len(daily) > 1 else 0.0
    return float(daily.mean()) / spread * math.sqrt(YEAR) if spread > 0.0 else math.nan


def _why_not(daily: F64) -> Figure | None:
    if len(daily) < MIN_DAYS:
        return Figure.lacking(NOT_ENOUGH, f"{len(daily)} of at least {MIN_DAYS} days")
    if not np.ptp(daily) > 0.0:
        return Figure.lacking("every day earned the same")
    return None


def _expected(trial_sharpes: Sequence[float], trials: int) -> Figure:
    """Annualised ratio that the best of so many trials without skill is expected to show."""
    from skfolio.measures import expected_max_sharpe_ratio  # imports slowly, in every worker

    known = np.array([value for value in trial_sharpes if math.isfinite(value)])
    if trials <= 1:
        return Figure(0.0)
    if len(known) < 2:
        return Figure.lacking(NOT_ENOUGH, f"{len(known)} of {trials} trials have a Sharpe ratio")
    return Figure(float(expected_max_sharpe_ratio(trials, float(known.std(ddof=1)))))


def _probability(daily: F64, annual_benchmark: float) -> Figure:
    from skfolio.measures import probabilistic_sharpe_ratio

    value = float(probabilistic_sharpe_ratio(daily, annual_benchmark / math.sqrt(YEAR)))
    if not math.isfinite(value):
        return Figure.lacking("the returns are too far from a normal law for the formula")
    return Figure(value)


def _minimum_days(daily: F64) -> Figure:
    ratio = annual_sharpe(daily) / math.sqrt(YEAR)
    if ratio <= 0.0:
        return Figure.lacking("the Sharpe ratio is not above 0")
    skew, kurtosis = stats.skew(daily), stats.kurtosis(daily, fisher=False)
    adjusted = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    return Figure(float(1.0 + adjusted * (stats.norm.ppf(CONFIDENCE) / ratio) ** 2))
