"""What the optima expect is what they earn, and nobody with less to go by earns more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.optimum import (
    TablePolicy,
    account_days,
    hindsight,
    market_path,
    optimum_baselines,
    planted_optimum,
)
from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.market.source import MarketInfo
from apex_trader.time import DAY, MINUTE, SECOND
from apex_trader.trading.config import RewardConfig, TradingConfig
from tests.evaluation.optimum.planted_days import BTC, ETH, FILLS, START, Days, planted

#: Small planted edges whose days are cheap, two clocks and every law.
MINUTES = {"clock": "1m", "clustering": 0.1, "season": 0.1}
CASES = [
    ("mean_reversion", {"days": 2}),
    ("regimes", {"days": 2, "duration": 600.0}),
    ("lead_lag", {"days": 2, "clustering": 0.1, "season": 0.1}),
    ("mean_reversion", {"days": 60, **MINUTES}),
    ("regimes", {"days": 90, **MINUTES}),
    ("lead_lag", {"days": 30, **MINUTES}),
]
NAMES = [f"{name}-{given.get('clock', '1s')}" for name, given in CASES]


def deviations(daily: np.ndarray, expected: float, error: float = 0.0) -> float:
    """How many standard errors the mean of days lies off."""
    own = daily.std(ddof=1) / math.sqrt(len(daily))
    return float((daily.mean() - expected) / math.hypot(own, error))


def thresholds(days: Days, policy_of_rows: np.ndarray, size: float) -> TablePolicy:
    """Turns where a signal passes a threshold, holds in between."""
    wanted = np.where(policy_of_rows > size, 2, np.where(policy_of_rows < -size, 0, -1))
    best = np.where(wanted[:, None] >= 0, wanted[:, None], np.arange(3))
    return TablePolicy("threshold", best.astype(np.uint8))


@pytest.mark.parametrize(("name", "given"), CASES, ids=NAMES)
def test_the_expected_profit_is_earned(name, given) -> None:
    days = planted(name, 5, **given)
    expected = days.optimum.expected(np.random.default_rng(0))
    oracle, seen = days.earned(days.oracle()), days.earned(days.filtered())
    # Few days have a poor standard error of their own: 8% is what their volatility leaves open.
    loose = 0.08 * expected.filtered if len(seen) < 10 else 0.0
    assert abs(deviations(oracle, expected.oracle, loose + expected.oracle_error)) < 3.5
    assert abs(deviations(seen, expected.filtered, loose + expected.filtered_error)) < 3.5


@pytest.mark.parametrize(("name", "given"), CASES, ids=NAMES)
def test_who_knows_more_earns_more(name, given) -> None:
    """Oracle, filter, simple rules on what is seen; and hindsight above all of them."""
    days = planted(name, 5, **given)
    oracle, seen = days.earned(days.oracle()), days.earned(days.filtered())
    paired = (oracle - seen).std(ddof=1) / math.sqrt(len(seen))
    assert (oracle - seen).mean() > -2.0 * paired
    best = hindsight(days.path, days.trading).log_return
    assert oracle.sum() < best
    assert seen.sum() < best
    for rule in simple_rules(days):
        assert seen.mean() > days.earned(rule).mean()


def simple_rules(days: Days) -> list[TablePolicy]:
    """Thresholds on a price's distance from its mean, on BTC's last move, on a trend."""
    ts = np.asarray(days.path.arrays["ts"])
    lag = round(60 * SECOND / days.interval) if days.interval < 60 * SECOND else 5
    mark = days.path.arrays["mark"]
    leader = Prints.of(days.reference, int(ts[0]) - DAY, int(ts[-1]))
    other = leader.log_price[np.maximum(leader.before(ts), 0)]
    own, lead = (np.concatenate([np.zeros(lag), p[lag:] - p[:-lag]]) for p in (mark, other))
    signals = (-own, own, lead)
    return [thresholds(days, s, size) for s in signals for size in (4e-4, 12e-4)]


@pytest.mark.parametrize(
    ("name", "edge"),
    [("mean_reversion", "deviation"), ("lead_lag", "coupling"), ("regimes", "strength")],
)
def test_without_an_edge_the_best_is_to_stay_flat(name, edge) -> None:
    days = planted(name, 2, 1, **{edge: 0.0})
    for policy in (days.oracle(), days.filtered()):
        assert not account_days(days.path, policy, days.trading).transactions.any()
    expected = days.optimum.expected(np.random.default_rng(0))
    assert expected.oracle == pytest.approx(0.0, abs=1e-6)
    assert expected.filtered == pytest.approx(0.0, abs=1e-6)


def test_on_a_martingale_the_best_is_to_stay_flat() -> None:
    days = planted("martingale", 2, 1)
    assert days.earned(days.filtered()).tolist() == [0.0]
    assert days.optimum.expected(np.random.default_rng(0)).filtered == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "edge", "sizes"),
    [
        ("mean_reversion", "deviation", (4.0, 12.0)),
        ("regimes", "strength", (1.0, 2.0)),
        ("lead_lag", "coupling", (0.1, 0.9)),
    ],
)
def test_a_larger_edge_is_worth_more_and_a_vanishing_one_nothing(name, edge, sizes) -> None:
    worth = [
        planted(name, 1, 1, clock="1m", **{edge: size})
        .optimum.expected(np.random.default_rng(0))
        .filtered
        for size in sizes
    ]
    assert 0.0 <= worth[0] < worth[1]


@pytest.mark.parametrize("name", ["mean_reversion", "lead_lag", "regimes"])
def test_what_comes_later_changes_no_wish_of_the_filter(name) -> None:
    """Every price at and after a decision is replaced: all wishes up to it stay, bit for bit."""
    days = planted(name, 3, 1, trades_per_second=1.0)
    ts = np.asarray(days.path.arrays["ts"])
    cut = int(ts[9_000])
    prints = [Prints.of(s, START - DAY, START + DAY) for s in (days.primary, days.reference)]
    whole = days.optimum.filtered((prints[0], prints[1]), ts)
    garbage = []
    for one in prints:
        later = one.ts >= cut
        noise = np.random.default_rng(0).normal(0.0, 0.1, len(one))
        garbage.append(Prints(one.ts, np.where(later, one.log_price + noise, one.log_price)))
    changed = days.optimum.filtered((garbage[0], garbage[1]), ts)
    np.testing.assert_array_equal(whole[:9_001], changed[:9_001])
    assert np.any(whole[9_001:] != changed[9_001:])
    short = [Prints(p.ts[p.ts < cut], p.log_price[p.ts < cut]) for p in prints]
    alone = days.optimum.filtered((short[0], short[1]), ts[:9_001])
    np.testing.assert_array_equal(whole[:9_001], alone)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["mean_reversion", "lead_lag", "regimes"])
def test_other_parameters_and_seeds_are_solved_too(name, seed) -> None:
    """Anywhere in the valid ranges: finite values, and a filter that does not expect more."""
    rng = np.random.default_rng(seed)
    own = {
        "mean_reversion": {"half_life": 10 ** rng.uniform(1, 5), "deviation": rng.uniform(1, 80)},
        "lead_lag": {"delay": 10 ** rng.uniform(0, 3), "coupling": rng.uniform(0, 1)},
        "regimes": {"duration": 10 ** rng.uniform(2, 5), "strength": rng.uniform(0, 6)},
    }[name]
    common = {
        "volatility": rng.uniform(0.1, 1.5),
        "btc_ratio": rng.uniform(0.3, 2.0),
        "clustering": rng.uniform(0.0, 0.8),
        "trades_per_second": rng.uniform(0.5, 4.0),
    }
    days = planted(name, seed, 1, **own, **common)
    for policy in (days.oracle(), days.filtered()):
        assert np.isfinite(days.earned(policy)).all()
    expected = days.optimum.expected(rng)
    slack = 3.0 * (expected.oracle_error + expected.filtered_error) + 1e-6
    assert -slack <= expected.filtered <= expected.oracle + slack


def test_a_backtest_runs_all_of_them_as_baselines() -> None:
    days = planted("mean_reversion", 5, 60, **MINUTES)
    path = market_path(days.primary, START, START + 10 * DAY, days.interval, FILLS)
    found = optimum_baselines(
        path, days.primary, days.reference, days.trading, FILLS, days.interval
    )
    assert [p.name for p in found] == ["hindsight optimum", "oracle", "filter optimum"]
    net = [run_continuous(path, p, days.trading, RewardConfig()).equity[-1] for p in found]
    assert net[0] > net[1] > 1.0
    assert net[0] > net[2] > 1.0
    alone = optimum_baselines(path, days.primary, None, days.trading, FILLS, days.interval)
    assert [p.name for p in alone] == ["hindsight optimum", "oracle"]


def test_a_market_without_a_known_law_is_refused() -> None:
    trading = TradingConfig()
    with pytest.raises(ApexError, match="no known law"):
        planted_optimum(MarketInfo("binance:ETHUSDT"), trading, FILLS, 5 * SECOND)
    info = planted("mean_reversion", 5, 60, **MINUTES).made[BTC].info
    with pytest.raises(ApexError, match=ETH):
        planted_optimum(info, trading, FILLS, MINUTE)


def test_spot_and_two_actions_have_an_optimum_of_their_own() -> None:
    days = planted("mean_reversion", 5, 60, **MINUTES)
    wider = days.earned(days.filtered()).sum()
    for trading in (TradingConfig(action_set="sell_buy"), TradingConfig(instrument="spot")):
        optimum = planted_optimum(days.primary.info, trading, FILLS, days.interval)
        own = Days(days.made, days.path, optimum, trading, days.interval)
        earned = account_days(own.path, own.filtered(), trading).log.sum()
        assert 0.0 < earned < wider
