"""What a run's agent is compared with, and what its figures are worth, as a run configures it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.evaluation.assessment import (
    Assessment,
    by_name,
    path_days,
    random_accounts,
    score_figure,
)
from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.baselines import (
    LOGISTIC,
    MOVING_AVERAGE,
    PIVOT_TREND,
    RANDOM,
    CrossConfig,
    cross_text,
    expected_move_policy,
    random_match,
    rule_baselines,
)
from apex_trader.evaluation.bootstrap import bootstrap
from apex_trader.evaluation.curves import (
    CurvePoint,
    break_even_fee,
    curve_point,
    latencies,
    refilled,
)
from apex_trader.evaluation.ledger import Trial, common_days, distinct
from apex_trader.evaluation.logistic import LogisticMarket, learn_day
from apex_trader.evaluation.network_walk import Scenario
from apex_trader.evaluation.optimum import optimum_baselines
from apex_trader.evaluation.optimum.baselines import FILTER, ORACLE
from apex_trader.evaluation.overfitting import overfitting
from apex_trader.evaluation.placebo import placebo
from apex_trader.evaluation.policies import Planned, Policy
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.regime_table import regime_table
from apex_trader.evaluation.sharpe import annual_sharpe, sharpe_statistics
from apex_trader.evaluation.statistics import summarize
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData, day_tables
from apex_trader.time import HOUR, SECOND
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

F64 = NDArray[np.float64]

#: Stream of the run's seed that evaluation draws from, beside those of ``parts``.
_STREAM = 100
_HINDSIGHT = "hindsight optimum"
#: What a plan that was made for some costs is worth at others says nothing about those.
_PLANNED_FOR_COSTS = (_HINDSIGHT, ORACLE, FILTER)


@dataclass(frozen=True)
class Scenarios:
    """The agent's accounts on one period: the configured one first.

    fees: name → fee an order; latency: name → seconds.
    """

    accounts: list[Scenario]
    fees: dict[str, float]
    latency: dict[str, float]


def scenarios_of(
    config: Config, data: MarketData, path: MarketPath, trading: TradingConfig
) -> Scenarios:
    """The account as configured, without fee, at adverse fees, and at other latencies."""
    base = Scenario("agent", path, trading)
    adverse = {round(bps * 1e-4, 12) for bps in config.evaluation.adverse_bps}
    fees = {_bps(fee): fee for fee in sorted({0.0, *adverse})}
    accounts = [base]
    for name, fee in fees.items():
        accounts.append(Scenario(name, path, replace(trading, fee=fee)))
    fills, schema = data.builder.fills, data.schema
    bars, latency = schema.fast_clock != "1s", {}
    wanted = () if fills.optimistic else config.evaluation.latencies
    for seconds in latencies(wanted, fills, schema.decision_interval, bars):
        name = f"{seconds:g} s"
        other = replace(fills, latency=round(seconds * SECOND))
        same = other == fills
        slower = path if same else refilled(path, data.builder.primary, schema.fast_clock, other)
        latency[name] = seconds
        accounts.append(Scenario(name, slower, trading))
    return Scenarios(accounts, fees, latency)


@dataclass(frozen=True)
class Baselines:
    """Records of the baselines under the agent's fills and costs, plans [k] and words of each, and
    what kept one from being there."""

    records: list[Record]
    policies: list[Policy]
    words: dict[str, str]
    notes: list[str]


def run_baselines(
    config: Config,
    data: MarketData,
    logistic: Logistic,
    moves: F64 | None,
    path: MarketPath,
    agent: Record,
    trading: TradingConfig,
) -> Baselines:
    """Every baseline that the market allows; their records hold no reward terms.

    moves [n]: what the logistic regression expects at each row of the path, None without one.
    agent: its record, for the random account.
    """
    notes = list(logistic.notes)
    evaluation = config.evaluation
    cross = CrossConfig(
        round(evaluation.average_fast * HOUR), round(evaluation.average_slow * HOUR)
    )
    policies = rule_baselines(path, trading, cross)
    policies.append(random_match(path, agent, trading, random_of(config, 0)))
    words = {
        MOVING_AVERAGE: cross_text(cross),
        PIVOT_TREND: "goes with the trend of confirmed pivots of levels 2 to 4",
        RANDOM: "trades as often and as long as the agent, at random times and sides",
    }
    if moves is not None:
        policies.append(expected_move_policy(LOGISTIC, moves, trading))
        words[LOGISTIC] = logistic.words
    try:
        policies += optimum_baselines(
            path, data.builder.primary, data.builder.reference, trading, data.builder.fills,
            data.schema.decision_interval,
        )  # fmt: skip
    except ApexError as error:
        notes.append(f"No optimum to compare with: {error}")
    words[_HINDSIGHT] = "the best that could have been made of the period, its prices known"
    records = [
        run_continuous(path, policy, trading, config.reward, terms=False).beside(agent)
        for policy in policies
    ]
    return Baselines(records, policies, words, notes)


@dataclass(frozen=True)
class Logistic:
    """The logistic regression: fitted, and in words; without a model, notes say why, or nothing
    where nobody wanted it."""

    model: LogisticMarket | None = None
    words: str = ""
    notes: tuple[str, ...] = ()


def learn_logistic(
    config: Config,
    data: MarketData,
    training_days: Sequence[int],
    extractor: FrozenExtractor | None,
    pool: Executor,
) -> Logistic:
    """Fit it on some of the agent's training days (µs), one after another; pool: computes."""
    wanted = config.evaluation.logistic_days
    if not wanted:
        return Logistic()
    known = set(data.builder.days())
    days = [day for day in training_days if day in known]
    if not days:
        return Logistic(notes=(
            "No logistic regression: the agent's training days are not in this market.",
        ))  # fmt: skip
    chosen = [days[i] for i in np.unique(np.linspace(0, len(days) - 1, wanted).round().astype(int))]
    horizon = config.evaluation.logistic_horizon
    model = LogisticMarket(data.schema.market_size, horizon, config.seed)
    random = random_of(config, 1)
    for day in random.permutation(chosen).tolist():
        segment = data.builder.build(day)
        tables = day_tables(segment, data.schema, extractor, pool)
        learn_day(model, tables, MarketPath.from_segments([segment]), random)
    if not model.rows:
        return Logistic(notes=(
            "No logistic regression: no order would have filled on its training days.",
        ))  # fmt: skip
    interval = data.schema.decision_interval / SECOND
    words = (
        f"logistic regression on the agent's state, {horizon} decisions ({horizon * interval:g} s) "
        f"ahead, fitted on {model.rows:,} decisions of {len(chosen)} of its training days"
    )
    return Logistic(model, words)


def assess(
    config: Config,
    path: MarketPath,
    scenarios: Scenarios,
    accounts: Sequence[Record],
    baselines: Baselines,
    trials: Sequence[Trial],
    validation: Sequence[int],
) -> Assessment:
    """accounts: the agent's records of ``scenarios``, in their order. trials: of the ledger, this
    run's among them. validation: days (µs) that its checkpoint was chosen on."""
    agent, trading = accounts[0], scenarios.accounts[0].trading
    by_scenario = {record.name: record for record in accounts[1:]}
    days, evaluation = path_days(path), config.evaluation
    daily = by_name([agent, *baselines.records], days)
    own = daily.pop(agent.name)
    choices = distinct(trials)
    return Assessment(
        sharpe=sharpe_statistics(
            np.expm1(own), [annual_sharpe(np.expm1(np.array(t.daily))) for t in choices],
            max(len(choices), 1),
        ),
        bootstrap=bootstrap(own, daily, evaluation.draws, random_of(config, 2)),
        overfitting=overfitting(common_days(trials, validation)),
        placebo=placebo(
            path, agent, evaluation.shuffles, random_of(config, 3), evaluation.block_days
        ),
        random=random_accounts(
            path, agent, trading, evaluation.random_accounts, random_of(config, 4)
        ),
        break_even_fee=break_even_fee(path, agent, trading, config.reward),
        costs=_cost_curve(config, path, scenarios, agent, by_scenario),
        latency=[
            curve_point(scenario.path, by_scenario[scenario.name], trading.fee,
                        scenarios.latency[scenario.name])
            for scenario in scenarios.accounts if scenario.name in scenarios.latency
        ],
        adverse=_adverse(config, path, scenarios, by_scenario, baselines),
        regimes=regime_table(path, agent),
        scores={
            name: score_figure(own, daily[name]) for name in (ORACLE, FILTER) if name in daily
        },
        days=days,
        daily={agent.name: own, **daily},
        baselines=baselines.words,
        adverse_records={
            name: by_scenario[name] for name, fee in scenarios.fees.items() if fee > 0.0
        },
    )  # fmt: skip


def _cost_curve(
    config: Config,
    path: MarketPath,
    scenarios: Scenarios,
    agent: Record,
    by_scenario: dict[str, Record],
) -> list[CurvePoint]:
    latency, base = config.execution.latency, scenarios.accounts[0].trading.fee
    points = {fee: by_scenario[name] for name, fee in scenarios.fees.items()} | {base: agent}
    return [curve_point(path, points[fee], fee, latency) for fee in sorted(points)]


def _adverse(
    config: Config,
    path: MarketPath,
    scenarios: Scenarios,
    by_scenario: dict[str, Record],
    baselines: Baselines,
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of agent and baselines at each adverse fee."""
    base = scenarios.accounts[0].trading
    found = {}
    for name, fee in scenarios.fees.items():
        if fee == 0.0:
            continue
        dear = replace(base, fee=fee)
        figures = {"agent": summarize(by_scenario[name])}
        for policy in baselines.policies:
            if isinstance(policy, Planned) and policy.name not in _PLANNED_FOR_COSTS:
                record = run_continuous(path, policy, dear, config.reward, terms=False)
                figures[policy.name] = summarize(record)
        found[name] = figures
    return found


def random_of(config: Config, part: int) -> np.random.Generator:
    """Draws of one part of an evaluation: others may draw more or less without changing them."""
    return np.random.default_rng([config.seed, _STREAM, part])


def _bps(fee: float) -> str:
    return f"{fee * 1e4:g} bp"
