"""Confidence against a market whose probabilities are known, and one in which there is no edge."""

from __future__ import annotations

import json

import numpy as np
import pytest

from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.confidence.confidence import Belongs, Calibrated, calibrate
from apex_trader.evaluation.confidence.config import ConfidenceConfig
from apex_trader.evaluation.confidence.judgement import ConfidenceJudgement, judge_confidence
from apex_trader.evaluation.confidence.orders import collect_orders
from apex_trader.trading.config import RewardConfig, TradingConfig
from tests.evaluation.confidence.conftest import HORIZON, Knowing, features_of, told_market

REWARD = RewardConfig()
AGENT = Belongs("step-000040", "", None, "")


def judged(
    edge: float, trading: TradingConfig, config: ConfidenceConfig, seed: int = 0, days: int = 20
) -> tuple[Calibrated, ConfidenceJudgement]:
    """Calibrated on 60 days of a market and judged on others."""
    features = features_of(trading)
    path, forecast, _ = told_market(seed, 60, edge)
    orders = collect_orders(path, Knowing(forecast, trading), features, REWARD)
    calibrated = calibrate(orders, config, AGENT, {}, np.random.default_rng(seed))
    assert isinstance(calibrated, Calibrated)
    path, forecast, _ = told_market(seed + 1_000, days, edge)
    agent = Knowing(forecast, trading)
    random = np.random.default_rng(seed + 1)
    return calibrated, judge_confidence(calibrated, agent, path, features, REWARD, config, random)


@pytest.fixture(scope="module")
def known_edge() -> list[tuple[Calibrated, ConfidenceJudgement]]:
    """Three agents on markets whose probabilities are known, calibrated and judged."""
    config = ConfidenceConfig(horizon=HORIZON, draws=400)
    return [judged(1.5, TradingConfig(fee=0.0), config, seed) for seed in range(3)]


def test_with_a_known_edge_confidence_is_the_probability(known_edge):
    """Of every entry the true probability is known in closed form."""
    trading = TradingConfig(fee=0.0)
    for seed, (calibrated, _) in enumerate(known_edge):
        path, forecast, rises = told_market(seed + 2_000, 10, 1.5)
        orders = collect_orders(path, Knowing(forecast, trading), features_of(trading), REWARD)
        entries = orders.where(orders.adds_risk & orders.label.known)
        truth = np.where(entries.target > 0, rises[entries.row], 1.0 - rises[entries.row])
        said = calibrated.confidence.of(entries.features, entries.adds_risk)
        assert np.abs(said - truth).mean() < 0.04
        assert np.corrcoef(said, truth)[0, 1] > 0.95


def test_with_a_known_edge_confidence_lies_within_the_intervals_of_what_came(known_edge):
    found = [judgement for _, judgement in known_edge]
    points = [point for one in found if one.held is not None for point in one.held.bins]
    assert len(points) >= 12
    assert sum(point.holds for point in points) >= 0.8 * len(points)
    for one in found:
        assert one.held is not None
        assert abs(one.held.gap.value) < 3.0 * one.gap_error
        assert one.held.brier_gain.value > 3.0 * one.held.brier_gain.error > 0.0
        assert one.covered > 0.3


@pytest.mark.parametrize("seed", range(3))
def test_on_a_martingale_confidence_never_claims(seed):
    """An agent that sees an edge where there is none, at real costs: it would trade and lose."""
    trading = TradingConfig(fee=0.0002)
    config = ConfidenceConfig(horizon=HORIZON, draws=200)
    _, found = judged(0.0, trading, config, seed)
    assert found.asked > 100
    assert (found.covered, found.passed) == (0.0, 0)
    assert found.largest < 0.5
    assert found.record.equity[-1] == 1.0
    path, forecast, _ = told_market(seed + 1_000, 20, 0.0)
    assert run_continuous(path, Knowing(forecast, trading), trading, REWARD).equity[-1] < 0.995
    (note,) = [n for n in found.notes() if "hardly ever" in n]
    assert note.startswith("Confidence of 0.7 is hardly ever reached: 0.00% of the agent's entries")
    assert note.endswith(f"Gated, it opened 0 positions, asking {found.asked:,} times.")


def test_an_edge_is_kept_and_its_losses_are_not():
    """Costs that eat small edges: the gated account makes more of each of its fewer trades."""
    trading = TradingConfig(fee=0.0003)
    _, found = judged(3.0, trading, ConfidenceConfig(horizon=HORIZON, draws=200))
    path, forecast, _ = told_market(1_000, 20, 3.0)
    own = run_continuous(path, Knowing(forecast, trading), trading, REWARD)
    assert 0 < found.passed < found.asked
    gated = found.record.trips["gain"].mean()
    assert gated > own.trips["gain"].mean() > 0.0


def test_calibration_that_no_longer_holds_is_said():
    trading = TradingConfig(fee=0.0)
    config = ConfidenceConfig(horizon=HORIZON, draws=200)
    calibrated, _ = judged(2.0, trading, config)
    path, forecast, _ = told_market(5, 20, 0.0)
    found = judge_confidence(calibrated, Knowing(forecast, trading), path, features_of(trading),
                             REWARD, config, np.random.default_rng(0))  # fmt: skip
    assert any(n.startswith("Confidence was too sure on the days judged") for n in found.notes())


def test_a_gate_of_nothing_is_the_agent_itself_and_the_result_is_json():
    trading = TradingConfig(fee=0.0002)
    config = ConfidenceConfig(horizon=HORIZON, gate=0.0, draws=100)
    _, found = judged(1.0, trading, config, days=6)
    path, forecast, _ = told_market(1_000, 6, 1.0)
    own = run_continuous(path, Knowing(forecast, trading), trading, REWARD)
    assert np.array_equal(found.record.equity, own.equity)
    assert found.covered == 1.0
    plain = json.loads(json.dumps(found.to_plain()))
    assert plain["policy"] == "agent, gated"
    assert plain["coverage"][0] == {"level": 0.0, "orders": 1.0,
                                    "decisions": plain["coverage"][0]["decisions"]}  # fmt: skip


def test_no_entry_in_the_period_is_no_figure():
    trading = TradingConfig(fee=0.0002)
    config = ConfidenceConfig(horizon=HORIZON, draws=100)
    calibrated, _ = judged(1.0, trading, config, days=6)
    path, forecast, _ = told_market(7, 3, 1.0)
    found = judge_confidence(calibrated, Knowing(0.0 * forecast, trading), path,
                             features_of(trading), REWARD, config,
                             np.random.default_rng(0))  # fmt: skip
    assert found.held is None
    assert np.isnan(found.largest)
    assert (found.asked, found.notes()) == (0, [])
