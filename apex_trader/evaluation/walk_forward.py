"""The folds of a walk-forward test as one result: their test days, one behind the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.evaluation.bootstrap import BootstrapResult, bootstrap
from apex_trader.evaluation.sharpe import SharpeStatistics, sharpe_statistics
from apex_trader.evaluation.statistics import annualised

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class FoldResult:
    """One fold: trained from scratch on its past, judged once on what came next.

    run: its folder's name. trained, validated, tested: dates. figures: policy → ``summarize`` of
    its test. days [d] µs, daily: policy → net log return of each of them, the agent first.
    """

    run: str
    trained: str
    validated: str
    tested: str
    figures: Mapping[str, Mapping[str, float | None]]
    days: I64
    daily: Mapping[str, F64]


@dataclass(frozen=True)
class WalkForward:
    """All folds together; d test days, ascending.

    figures: policy → net_return (compounded), max_drawdown (of daily closes), sharpe, sortino,
    calmar, days. gained: folds in which the agent's net return was above 0. sharpe, bootstrap: of
    the agent over all test days.
    """

    folds: list[FoldResult]
    days: I64
    daily: dict[str, F64]
    figures: dict[str, dict[str, float]]
    gained: int
    sharpe: SharpeStatistics
    bootstrap: BootstrapResult


def combine(
    folds: Sequence[FoldResult],
    trial_sharpes: Sequence[float],
    trials: int,
    draws: int,
    random: np.random.Generator,
) -> WalkForward:
    """Folds in time order; policies that not every fold has are left out. trial_sharpes, trials: as
    ``sharpe_statistics`` takes them. ApexError when there is none, or test days overlap."""
    if not folds:
        raise ApexError("a walk-forward test has at least one fold")
    days = np.concatenate([fold.days for fold in folds])
    if np.any(np.diff(days) <= 0):
        raise ApexError("the folds' test days overlap or are out of order: each is tested once")
    names = [name for name in folds[0].daily if all(name in fold.daily for fold in folds)]
    daily = {name: np.concatenate([fold.daily[name] for fold in folds]) for name in names}
    agent, *others = names
    return WalkForward(
        folds=list(folds),
        days=days,
        daily=daily,
        figures={name: daily_figures(values) for name, values in daily.items()},
        gained=sum(bool(fold.daily[agent].sum() > 0.0) for fold in folds),
        sharpe=sharpe_statistics(np.expm1(daily[agent]), trial_sharpes, trials),
        bootstrap=bootstrap(daily[agent], {name: daily[name] for name in others}, draws, random),
    )


def daily_figures(daily: F64) -> dict[str, float]:
    """Of net log returns [d]: see ``WalkForward.figures``."""
    equity = np.exp(np.concatenate([[0.0], np.cumsum(daily)]))
    fallen = equity / np.maximum.accumulate(equity) - 1.0
    return {
        "net_return": float(equity[-1] - 1.0),
        "max_drawdown": float(fallen.min()),
        "days": float(len(daily)),
        **annualised(np.expm1(daily)),
    }
