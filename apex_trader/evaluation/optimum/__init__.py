"""What could have been earned at best: by a clairvoyant, by a Bayesian, and in hindsight."""

from __future__ import annotations

from apex_trader.evaluation.optimum.account_days import AccountDays, account_days
from apex_trader.evaluation.optimum.baselines import (
    filter_policy,
    optimum_baselines,
    oracle_policy,
    planted_optimum,
)
from apex_trader.evaluation.optimum.expectation import Expected
from apex_trader.evaluation.optimum.hindsight import Hindsight, hindsight
from apex_trader.evaluation.optimum.market_path import market_path
from apex_trader.evaluation.optimum.planted import PlantedOptimum
from apex_trader.evaluation.optimum.policy import TablePolicy
from apex_trader.evaluation.optimum.score import Score, score

__all__ = [
    "AccountDays",
    "Expected",
    "Hindsight",
    "PlantedOptimum",
    "Score",
    "TablePolicy",
    "account_days",
    "filter_policy",
    "hindsight",
    "market_path",
    "optimum_baselines",
    "oracle_policy",
    "planted_optimum",
    "score",
]
