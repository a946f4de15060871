"""Confidence as a run configures it: units, conditions, and its judgement on a period."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from apex_trader.evaluation.confidence.confidence import Calibrated
from apex_trader.evaluation.confidence.features import OrderFeatures
from apex_trader.evaluation.confidence.judgement import ConfidenceJudgement, judge_confidence
from apex_trader.evaluation.confidence.orders import ValuedPolicy
from apex_trader.runtime.config import Config
from apex_trader.runtime.parts import CONFIDENCE
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

#: What of the account decides whether an order beats keeping the position.
_ACCOUNT = ("instrument", "action_set", "fee", "slippage_bps", "exposure", "funding")


def order_features(config: Config, trading: TradingConfig) -> OrderFeatures:
    """How the run's decisions become features of confidence."""
    return OrderFeatures(
        Actions.of(trading), trading, config.reward.scale, config.confidence.horizon
    )


def conditions(config: Config, trading: TradingConfig) -> dict[str, Any]:
    """What a calibration is valid under, plain values: market, horizon, method, costs, fills."""
    account = {name: getattr(trading, name) for name in _ACCOUNT}
    asked = asdict(config.confidence)
    del asked["gate"], asked["draws"]
    return {
        "market": config.market.primary,
        "confidence": asked,
        "trading": account,
        "execution": asdict(config.execution),
    }


def judged_confidence(
    config: Config,
    trading: TradingConfig,
    calibrated: Calibrated,
    agent: ValuedPolicy,
    path: MarketPath,
) -> ConfidenceJudgement:
    """Judge a confidence on a path, the gated account beside it."""
    return judge_confidence(
        calibrated, agent, path, order_features(config, trading), config.reward,
        config.confidence, random_of(config),
    )  # fmt: skip


def random_of(config: Config) -> np.random.Generator:
    """Draws the days of the intervals."""
    return np.random.default_rng([config.seed, CONFIDENCE])
