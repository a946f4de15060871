"""The optima as policies of a backtest, beside the agent and the simplest baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.evaluation.optimum.chain import Costs
from apex_trader.evaluation.optimum.hindsight import hindsight
from apex_trader.evaluation.optimum.lead_lag import LeadLagOptimum
from apex_trader.evaluation.optimum.martingale import MartingaleOptimum
from apex_trader.evaluation.optimum.mean_reversion import MeanReversionOptimum
from apex_trader.evaluation.optimum.planted import Hidden, PlantedOptimum
from apex_trader.evaluation.optimum.policy import TablePolicy, best_actions
from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.evaluation.optimum.regimes import RegimesOptimum
from apex_trader.evaluation.optimum.tables import by_stretch
from apex_trader.market.fills import FillConfig
from apex_trader.market.source import MarketInfo, MarketSource
from apex_trader.market.synthetic import hidden as hidden_state
from apex_trader.time import DAY
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

_OPTIMA: Mapping[str, type[PlantedOptimum]] = {
    "martingale": MartingaleOptimum,
    "mean_reversion": MeanReversionOptimum,
    "lead_lag": LeadLagOptimum,
    "regimes": RegimesOptimum,
}
ORACLE, FILTER = "oracle", "filter optimum"


def planted_optimum(
    info: MarketInfo, trading: TradingConfig, fills: FillConfig, interval: int
) -> PlantedOptimum:
    """The optimum of the planted market that ``info`` labels; ``interval`` µs between decisions.

    ApexError for a market whose law is not known: a real one, ``densified``, or the reference.
    """
    label = info.synthetic or {}
    generator = label.get("generator")
    if generator not in _OPTIMA:
        raise ApexError(
            f"{info.market} has no known law, so no optimum: that takes a market of "
            f"{', '.join(_OPTIMA)}"
        )
    parameters = {k: v for k, v in label.items() if k not in ("generator", "seed")}
    made = _OPTIMA[str(generator)](parameters, Costs.of(trading), fills, interval)
    if info.market != made.primary:
        raise ApexError(f"the law of {info.market} is worked out for {made.primary} alone")
    return made


def oracle_policy(
    optimum: PlantedOptimum, path: MarketPath, columns: Mapping[str, Mapping[str, Any]]
) -> TablePolicy:
    """The clairvoyant on a path; columns: the world's ``market.synthetic.hidden``, by market."""
    hidden, ts, actions = Hidden(columns), np.asarray(path.arrays["ts"]), optimum.costs.actions
    best = by_stretch(len(ts), lambda rows: best_actions(optimum.oracle(hidden, ts[rows]), actions))
    return TablePolicy(ORACLE, best)


def filter_policy(
    optimum: PlantedOptimum, path: MarketPath, primary: MarketSource, reference: MarketSource
) -> TablePolicy:
    """The filter optimum on a path, from prices alone; it reads a day in front of the path too."""
    ts = np.asarray(path.arrays["ts"])
    start, end = int(ts[0]) - DAY, int(ts[-1])
    prints = (Prints.of(primary, start, end), Prints.of(reference, start, end))
    value, actions = optimum.filtered(prints, ts), optimum.costs.actions
    best = by_stretch(len(ts), lambda rows: best_actions(value[rows], actions))
    return TablePolicy(FILTER, best)


def optimum_baselines(
    path: MarketPath,
    primary: MarketSource,
    reference: MarketSource | None,
    trading: TradingConfig,
    fills: FillConfig,
    interval: int,
) -> list[TablePolicy]:
    """All optima that a market allows: hindsight always, oracle and filter where one is planted.

    Without a reference the filter optimum is left out: it reads both symbols.
    """
    found = [hindsight(path, trading).policy]
    label = primary.info.synthetic or {}
    if label.get("generator") in _OPTIMA:
        optimum = planted_optimum(primary.info, trading, fills, interval)
        given = {k: v for k, v in label.items() if k not in ("generator", "seed")}
        name, seed = str(label["generator"]), int(str(label["seed"]))
        # handed on without a name of its own: it is large, and goes with the oracle
        found.append(oracle_policy(optimum, path, hidden_state(name, seed, **given)))
        if reference is not None:
            found.append(filter_policy(optimum, path, primary, reference))
    return found
