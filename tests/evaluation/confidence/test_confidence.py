"""A calibration belongs to one agent, is plain JSON, and is not made of too little."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from apex_trader.errors import ApexError, ConfigError, MismatchError
from apex_trader.evaluation.confidence.confidence import (
    Belongs,
    Calibrated,
    Uncalibrated,
    calibrate,
)
from apex_trader.evaluation.confidence.config import ConfidenceConfig
from apex_trader.evaluation.confidence.orders import Orders, collect_orders
from apex_trader.trading.config import RewardConfig, TradingConfig
from tests.evaluation.confidence.conftest import HORIZON, Knowing, features_of, told_market

AGENT = Belongs("step-000040", "aa", "bb", "cc")
CONFIG = ConfidenceConfig(horizon=HORIZON, min_orders=10, draws=200)


def asked(days: int = 6, fee: float = 0.0003) -> Orders:
    trading = TradingConfig(fee=fee)
    path, forecast, _ = told_market(0, days, 1.0)
    return collect_orders(path, Knowing(forecast, trading), features_of(trading), RewardConfig())


def fit(orders: Orders, config: ConfidenceConfig = CONFIG) -> Calibrated | Uncalibrated:
    return calibrate(orders, config, AGENT, {"horizon": HORIZON}, np.random.default_rng(0))


@pytest.fixture(scope="module")
def calibrated() -> Calibrated:
    found = fit(asked())
    assert isinstance(found, Calibrated)
    return found


def test_json_gives_the_same_confidence_back(calibrated):
    text = json.dumps(calibrated.to_plain())
    read = Calibrated.from_plain(json.loads(text), "here")
    assert read == calibrated
    orders = asked()
    said = calibrated.confidence.of(orders.features, orders.adds_risk)
    assert np.array_equal(
        read.confidence.of(orders.features, orders.adds_risk), said, equal_nan=True
    )


def test_it_says_what_it_was_made_of(calibrated):
    orders, made = asked(), calibrated.confidence
    entries = orders.where(orders.label.known & orders.adds_risk)
    assert (made.entering.orders, made.entering.days) == (len(entries), 6)
    assert made.closing is not None
    assert made.closing.orders + made.entering.orders == int(orders.label.known.sum())
    assert len(made.days) == 6
    assert calibrated.foretold.orders == len(entries)


@pytest.mark.parametrize("name", ["checkpoint", "weights", "extractor", "schema"])
def test_another_agent_is_refused_by_what_differs(calibrated, name):
    calibrated.confidence.require(AGENT, "here")
    with pytest.raises(MismatchError, match=f"here was calibrated for {name} .*calibrates anew"):
        calibrated.confidence.require(replace(AGENT, **{name: "other"}), "here")


@pytest.mark.parametrize("broken", ["format", "entering", "belongs", "foretold"])
def test_a_file_that_is_no_calibration_is_named(calibrated, broken):
    values = calibrated.to_plain()
    values[broken] = 7
    with pytest.raises(ApexError, match=r"run/confidence/x\.json is no calibration"):
        Calibrated.from_plain(values, "run/confidence/x.json")


def test_too_few_days_or_orders_are_said_and_nothing_is_claimed():
    few = fit(asked(days=2))
    assert isinstance(few, Uncalibrated)
    assert "orders on 2 calibration days, where 10 on 3 are asked for" in few.reason
    scarce = fit(asked(), replace(CONFIG, min_orders=10**6))
    assert isinstance(scarce, Uncalibrated)
    assert "No order was refused" in scarce.notes()[0]
    assert scarce.to_plain() == {"calibrated": False, "reason": scarce.reason}


def test_no_order_at_all_is_too_few():
    assert isinstance(fit(asked(fee=0.01)), Uncalibrated)


def test_closing_orders_too_few_to_calibrate_have_no_confidence(calibrated):
    alone = replace(calibrated.confidence, closing=None)
    said = alone.of(np.zeros((2, 3)), np.array([True, False]))
    assert np.isfinite(said).tolist() == [True, False]


@pytest.mark.parametrize(
    ("field", "value"),
    [("gate", 1.5), ("gate", float("nan")), ("horizon", 0), ("min_days", 1), ("folds", 1),
     ("min_orders", 0), ("draws", 10)],
)  # fmt: skip
def test_impossible_settings_name_their_field(field, value):
    with pytest.raises(ConfigError, match=f"confidence.{field}"):
        ConfidenceConfig(**{field: value})
