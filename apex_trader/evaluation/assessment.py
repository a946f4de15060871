"""All that is said about an agent beside its figures: typed results, for reports and machines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.evaluation.baselines import random_match
from apex_trader.evaluation.bootstrap import BootstrapResult
from apex_trader.evaluation.curves import CurvePoint
from apex_trader.evaluation.missing import NOT_ENOUGH, Figure
from apex_trader.evaluation.optimum import account_days
from apex_trader.evaluation.optimum.score import score
from apex_trader.evaluation.overfitting import Overfitting
from apex_trader.evaluation.placebo import Placebo
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.regime_table import Regime
from apex_trader.evaluation.sharpe import SharpeStatistics
from apex_trader.time import DAY
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class ScoreFigure:
    """The agent's profit as a share of an optimum's on the same days. standard_error: of value.
    days: how many there were."""

    value: Figure
    standard_error: Figure
    days: int


@dataclass(frozen=True)
class RandomAccounts:
    """Accounts that trade as often and as long as the agent, at random times and sides.

    agent: its log return of the period. mean, low, high: mean and 95% range of theirs. p_value:
    chance of the agent's or more among them, (1 + as good) / (1 + accounts). accounts: how many.
    """

    agent: float
    mean: float
    low: float
    high: float
    p_value: float
    accounts: int


@dataclass(frozen=True)
class Assessment:
    """What the agent's figures on a period are worth.

    sharpe: chance and deflation. bootstrap: intervals a day, against each baseline too.
    overfitting: of choosing among the ledger's trials of the same validation days. placebo:
    shuffled days. random: accounts at random, None where the agent never traded. break_even_fee: an
    order, of the traded value. costs: the agent at other fees, ascending. latency: at other
    latencies, ascending. adverse: fee in basis points → policy → its ``summarize``.
    adverse_records: the agent's records at those fees. regimes: the table. scores: optimum → score,
    where one is known. days [d] µs: with decisions; daily: policy → net log return of each, the
    agent first. baselines: name → what it does, in words.
    """

    sharpe: SharpeStatistics
    bootstrap: BootstrapResult
    overfitting: Overfitting
    placebo: Placebo
    random: RandomAccounts | None
    break_even_fee: Figure
    costs: list[CurvePoint]
    latency: list[CurvePoint]
    adverse: dict[str, dict[str, dict[str, float]]]
    regimes: list[Regime]
    scores: dict[str, ScoreFigure]
    days: I64
    daily: dict[str, F64]
    baselines: dict[str, str] = field(default_factory=dict)
    adverse_records: dict[str, Record] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """For machines: all but records. A figure is a number, or {"missing": why}."""
        parts = {name: value for name, value in vars(self).items() if name != "adverse_records"}
        plain: dict[str, Any] = to_plain(parts)
        return plain


def to_plain(value: Any) -> Any:
    """A typed result as plain values, arrays apart. A figure is a number, or {"missing": why}."""
    if isinstance(value, Figure):
        return {"missing": value.reason} if value.value is None else value.value
    if isinstance(value, Mapping):
        return {str(name): to_plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(inner) for inner in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: to_plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def path_days(path: MarketPath) -> I64:
    """[d] starts (µs) of the days on which something can be decided."""
    return np.unique(path.arrays.ts[path.startable] // DAY * DAY)


def log_returns(record: Record, days: I64) -> F64:
    """[d] net log return of each day; 0 on days that a ruined account does not live to see."""
    known, daily = record.daily_returns()
    found = np.zeros(len(days))
    found[np.searchsorted(days, known)] = np.log1p(np.maximum(daily, -1.0 + 1e-12))
    return found


def score_figure(agent: F64, optimum: F64) -> ScoreFigure:
    """Of log returns [d] of the same days; missing where the optimum gains nothing."""
    try:
        found = score(agent, optimum)
    except ApexError as error:
        none = Figure.lacking(str(error))
        return ScoreFigure(none, none, len(agent))
    error_figure = (
        Figure.lacking(NOT_ENOUGH, "1 of at least 2 days")
        if math.isnan(found.standard_error)
        else Figure(found.standard_error)
    )
    return ScoreFigure(Figure(found.value), error_figure, found.days)


def random_accounts(
    path: MarketPath,
    record: Record,
    trading: TradingConfig,
    accounts: int,
    random: np.random.Generator,
) -> RandomAccounts | None:
    """Accounts matched to a record of the path; None where it never traded."""
    if not record.traded.any():
        return None
    earned = np.array([
        account_days(path, random_match(path, record, trading, random), trading).quote.sum()
        for _ in range(accounts)
    ])  # fmt: skip
    agent = float(np.log(max(float(record.equity[-1]), 1e-300)))
    low, high = np.quantile(earned, [0.025, 0.975])
    p_value = (1 + int((earned >= agent).sum())) / (1 + accounts)
    return RandomAccounts(agent, float(earned.mean()), float(low), float(high), p_value, accounts)


def by_name(records: Sequence[Record], days: I64) -> dict[str, F64]:
    """Name → daily log returns [d] of each record."""
    return {record.name: log_returns(record, days) for record in records}
