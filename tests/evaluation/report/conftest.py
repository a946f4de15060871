"""A report with something in every section: six short days of a random walk."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from apex_trader.evaluation.assessment import (
    Assessment,
    by_name,
    path_days,
    random_accounts,
    score_figure,
)
from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.bootstrap import bootstrap
from apex_trader.evaluation.confidence.calibrators import CALIBRATORS
from apex_trader.evaluation.confidence.confidence import Belongs, Calibrated, Confidence, Fit
from apex_trader.evaluation.confidence.coverage import coverage
from apex_trader.evaluation.confidence.judgement import ConfidenceJudgement
from apex_trader.evaluation.confidence.reliability import reliability
from apex_trader.evaluation.curves import break_even_fee, curve_point
from apex_trader.evaluation.overfitting import overfitting
from apex_trader.evaluation.placebo import placebo
from apex_trader.evaluation.policies import hold_baselines
from apex_trader.evaluation.regime_table import regime_table
from apex_trader.evaluation.report import ReportData
from apex_trader.evaluation.report.band import band_of
from apex_trader.evaluation.report.data import History, Look, Reproduction, Seed
from apex_trader.evaluation.report.market_view import MarketView, Pivots, candles_of, fills_of
from apex_trader.evaluation.sharpe import sharpe_statistics
from apex_trader.evaluation.statistics import summarize
from apex_trader.evaluation.walk_forward import FoldResult, combine
from apex_trader.state.schema import SCHEMAS
from apex_trader.time import DAY
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig

TRADING, REWARD = TradingConfig(), RewardConfig()
DAYS = 6
#: A schema without minute bars: its candles are made of the prices at decisions.
SCHEMA = SCHEMAS["eth_full"](32).without("primary_1m", "pivots", "regime")


@dataclass(frozen=True)
class Judged:
    """The market and the records that the report is made of."""

    segments: list
    path: object
    data: ReportData


def random_of(part: int) -> np.random.Generator:
    return np.random.default_rng([5, part])


@pytest.fixture(scope="session")
def judged(tools) -> Judged:
    segments = tools.walk(5, days=DAYS, rows=600)
    path = path_of(segments)
    agent = replace(tools.scripted(path, 5), name="agent")
    policies = [agent, *hold_baselines(Actions.of(TRADING))]
    records = [run_continuous(path, p, TRADING, REWARD) for p in policies]
    records.insert(1, replace(records[1], name="agent, gated"))
    dear = run_continuous(path, agent, replace(TRADING, fee=1e-3), REWARD)
    candles = candles_of(segments, SCHEMA)
    first = candles.ts[7]
    pivots = Pivots(
        np.array([first, first, candles.ts[9]]), np.array([first, first, first]) + 10**9,
        candles.high[[7, 7, 9]], np.array([1, 1, -1], np.int8), np.array([2, 3, 2], np.int8),
    )  # fmt: skip
    data = ReportData(
        title="quickstart: synthetic:ETHUSDT",
        facts={"test period": "six days", "costs": "0.02% a transaction"},
        notes=["Synthetic market, not a real one.", "<script>alert(1)</script> & co"],
        records=records,
        figures={record.name: summarize(record) for record in records},
        actions=Actions.of(TRADING).names,
        training={"learner": curves()},
        coverage={"primary_1m": (2_400, 2_400, 0), "ticks": (3_000, 0, 3_000)},
        assumed=(TRADING.fee, 1.0),
        market=MarketView(candles, fills_of(segments, records[0]), pivots),
        band=band_of(records[0], random_of(0), draws=200),
        confidence=confidence_of(records[1]),
        assessment=assessment_of(path, records, dear),
        walk_forward=folds_of(path, records),
        seeds=seeds_of(records),
        history=History(3, [Look("2024-01-01 12:00", "ann", "runs/a", "train", "x", 0.01)], "led"),
        reproduction=Reproduction(
            {"Train it": "python -m apex_trader.train seed=1"}, "seed: 1\n", {"torch": "2"}
        ),
    )
    return Judged(segments, path, data)


@pytest.fixture(scope="session")
def data(judged) -> ReportData:
    return judged.data


@pytest.fixture(scope="session")
def bare(data) -> ReportData:
    """The same without all that a judgement may lack."""
    return ReportData(data.title, data.facts, (), data.records, data.figures, data.actions)


def curves() -> pd.DataFrame:
    index = pd.Index(np.arange(0, 1_000, 20), name="learner/updates")
    columns = {"learner/loss": np.exp(-index / 300.0), "learner/q_mean": np.sin(index / 99.0)}
    return pd.DataFrame(columns, index)


def assessment_of(path, records, dear) -> Assessment:
    agent, others = records[0], records[2:]
    daily = by_name([agent, *others], path_days(path))
    own = daily.pop("agent")
    costs = [curve_point(path, agent, 2e-4, 1.0), curve_point(path, dear, 1e-3, 1.0)]
    return Assessment(
        sharpe=sharpe_statistics(np.expm1(own), [1.0, -0.5, 2.0], 3),
        bootstrap=bootstrap(own, daily, 200, random_of(1)),
        overfitting=overfitting(random_of(2).normal(size=(12, 4))),
        placebo=placebo(path, agent, 100, random_of(3)),
        random=random_accounts(path, agent, TRADING, 5, random_of(4)),
        break_even_fee=break_even_fee(path, agent, TRADING, REWARD),
        costs=costs,
        latency=[replace(costs[0], latency=k / 2) for k in range(3)],
        adverse={"10 bp": {"agent": summarize(dear), "flat": summarize(others[0])}},
        regimes=regime_table(path, agent),
        scores={"oracle": score_figure(own, np.abs(own) + 1e-3)},
        baselines={"buy and hold": "buys on the first day"},
        days=path_days(path),
        daily={"agent": own, **daily},
    )


def confidence_of(gated) -> ConfidenceJudgement:
    random = random_of(5)
    said = random.beta(4.0, 4.0, 500)
    came, day = random.random(500) < said, random.integers(0, DAYS, 500)
    features = random.normal(size=(500, 3))
    fit = Fit(CALIBRATORS["constant"].fit(features, came, DAYS), {"constant": 0.69}, 500, DAYS)
    confidence = Confidence(
        fit, None, ("2024-01-01", "2024-01-06"), Belongs("step-1", "w", None, "s"), {}
    )
    held = reliability(said, came, day, random, 100)
    return ConfidenceJudgement(
        0.7, 100, Calibrated(confidence, held), held, coverage(said, 5_000, 0.7),
        float(said.max()), 40, 3, gated,
    )  # fmt: skip


def folds_of(path, records):
    figures = {record.name: summarize(record) for record in records}
    daily = by_name(records, path_days(path))
    days = path_days(path)
    folds = [
        FoldResult(f"fold{k}", "2022", "2023-01", f"2023-0{k + 2}", figures, days + k * DAYS * DAY,
                   daily)
        for k in range(3)
    ]  # fmt: skip
    return combine(folds, [1.0, 0.5, 0.2], 3, 100, random_of(6))


def seeds_of(records) -> list[Seed]:
    figures = {record.name: summarize(record) for record in records}
    agent = figures["agent"]
    return [
        Seed(k, {**figures, "agent": {**agent, "net_return": 0.01 * (k - 1)}}) for k in range(4)
    ]
