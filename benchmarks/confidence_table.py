"""Confidence on the planted markets: is it calibrated, how often is it high, what does its gate do.

    python -m benchmarks.confidence_table                   # minute bars, fee 2 bp, two horizons
    python -m benchmarks.confidence_table --markets mean_reversion --days 80 --horizons 20 --seed 7

The agent is the filter optimum, choosing by its own values; on ``martingale`` one that takes the
market for ``mean_reversion``, and so sees an edge where there is none. Calibrated on the first half
of the days, judged on the second. "entries": asked on the days judged; "succeed": share of them
that beat keeping the position over the horizon; "gap": mean confidence less that share, with its
standard error; "Brier gain": over always saying the base rate; "reach 0.7": share of the agent's
own entries; net log return a day in bp, of the agent and gated.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.confidence.confidence import Belongs, Uncalibrated, calibrate
from apex_trader.evaluation.confidence.config import ConfidenceConfig
from apex_trader.evaluation.confidence.features import OrderFeatures
from apex_trader.evaluation.confidence.judgement import ConfidenceJudgement, judge_confidence
from apex_trader.evaluation.confidence.orders import collect_orders
from apex_trader.evaluation.optimum import market_path, planted_optimum
from apex_trader.evaluation.optimum.planted import PlantedOptimum
from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.evaluation.record import Record
from apex_trader.market.fills import FillConfig
from apex_trader.market.source import MarketSource
from apex_trader.market.synthetic import generate
from apex_trader.time import DAY, MINUTE, parse_time
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath

MARKETS = ("mean_reversion", "lead_lag", "regimes", "martingale")
START = parse_time("2024-01-01")
#: Bars over which σ of a decision is averaged, as in the state's tables.
HALF_LIFE = 60
COLUMNS = (
    "market", "horizon", "method", "entries", "succeed", "gap", "Brier gain", "reach 0.7",
    "surest", "agent bp/day", "gated bp/day",
)  # fmt: skip


@dataclass(frozen=True)
class Planner:
    """Greedy on a plan's values [n, 3, 3] by row, position held and position wanted."""

    value: NDArray[np.float64]
    name: str = "agent"

    def values(self, rows, accounts):  # type: ignore[no-untyped-def]
        held = np.round(accounts[:, 0]).astype(np.int64) + 1
        return self.value[rows, held].astype(np.float32)

    def act(self, rows, accounts, positions):  # type: ignore[no-untyped-def]
        return self.values(rows, accounts).argmax(1).astype(np.uint8)


def world(market: str, days: int, seed: int, trading: TradingConfig) -> tuple[MarketPath, Planner]:
    """A market's path with σ of each decision, and its agent."""
    made = generate(market, seed, clock="1m", days=days, history_days=2, minute_days=2)
    primary, reference = (one.source() for one in made.values())
    path = market_path(primary, START, START + days * DAY, MINUTE, FillConfig())
    moves = pd.Series(np.diff(path.arrays["mark"], prepend=path.arrays["mark"][0]))
    path.arrays["sigma_decision"] = np.sqrt((moves**2).ewm(halflife=HALF_LIFE).mean()) + 1e-7
    ts = np.asarray(path.arrays["ts"])
    span = (int(ts[0]) - DAY, int(ts[-1]))
    prints = (Prints.of(primary, *span), Prints.of(reference, *span))
    return path, Planner(optimum_of(market, primary, trading).filtered(prints, ts))


def optimum_of(market: str, primary: MarketSource, trading: TradingConfig) -> PlantedOptimum:
    """The market's own; for a martingale, that of a market which reverts."""
    if market != "martingale":
        return planted_optimum(primary.info, trading, FillConfig(), MINUTE)
    other = generate("mean_reversion", 0, clock="1m", days=1, history_days=2, minute_days=2)
    info = next(iter(other.values())).source().info
    return planted_optimum(info, trading, FillConfig(), MINUTE)


def judged(
    market: str, horizon: int, days: int, seed: int, fee: float
) -> tuple[ConfidenceJudgement | Uncalibrated, Record]:
    """Calibrated on one world, judged on another of the same law; and the agent's own record."""
    trading, reward = TradingConfig(fee=fee), RewardConfig()
    config = ConfidenceConfig(horizon=horizon)
    features = OrderFeatures(Actions.of(trading), trading, 1.0, horizon)
    half = days // 2
    path, agent = world(market, half, seed, trading)
    orders = collect_orders(path, agent, features, reward)
    belongs, random = Belongs("optimum", "", None, ""), np.random.default_rng(seed)
    calibrated = calibrate(orders, config, belongs, {}, random)
    path, agent = world(market, days - half, seed + 1, trading)
    own = run_continuous(path, agent, trading, reward)
    if isinstance(calibrated, Uncalibrated):
        return calibrated, own
    return judge_confidence(calibrated, agent, path, features, reward, config, random), own


def row(market: str, horizon: int, days: int, seed: int, fee: float) -> tuple[str, ...]:
    """One line of the table."""
    found, own = judged(market, horizon, days, seed, fee)
    if isinstance(found, Uncalibrated) or found.held is None:
        reason = found.reason if isinstance(found, Uncalibrated) else "no entry"
        return (market, str(horizon), reason, *["–"] * 6, _daily(own, days), "–")
    held = found.held
    return (
        market, str(horizon), found.calibrated.confidence.entering.calibrator.name,
        f"{held.orders:,}", f"{held.base_rate.value:.1%} ± {held.base_rate.error:.1%}",
        f"{held.gap.value:+.1%} ± {found.gap_error:.1%}",
        f"{held.brier_gain.value:.4f} ± {held.brier_gain.error:.4f}",
        f"{replace(found, gate=0.7).covered:.1%}", f"{found.largest:.2f}", _daily(own, days),
        _daily(found.record, days),
    )  # fmt: skip


def _daily(record: Record, days: int) -> str:
    return f"{np.log(record.equity[-1]) / (days - days // 2) * 1e4:+.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markets", nargs="+", default=MARKETS, choices=MARKETS)
    parser.add_argument("--horizons", nargs="+", type=int, default=[20, 100])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--fee", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for market in given.markets:
        for horizon in given.horizons:
            line = row(market, horizon, given.days, given.seed, given.fee)
            print("| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main()
