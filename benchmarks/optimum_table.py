"""What could be earned at best on the planted markets, as expected and as earned.

    python -m benchmarks.optimum_table                      # both clocks, fees of 2 and 5 bp
    python -m benchmarks.optimum_table --markets regimes --clock 1s --days 20 --seed 7

Log returns of ETH a day, decided every 5 s on trades (every minute on minute bars), net of costs.
"expected" comes from the model alone, "earned" is the mean over the drawn days with its 95%
interval; "late" is an agent for example, which does what the filter optimum wished one decision
ago, with its score and the test days that a standard error of 0.03 takes; "unrelated": the days
that an agent of score 0.7 takes whose daily returns have nothing to do with the optimum's.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.optimum import (
    TablePolicy,
    account_days,
    filter_policy,
    hindsight,
    market_path,
    oracle_policy,
    planted_optimum,
    score,
)
from apex_trader.market.fills import FillConfig
from apex_trader.market.synthetic import generate
from apex_trader.time import DAY, MINUTE, SECOND, parse_time
from apex_trader.trading.config import TradingConfig

F64 = NDArray[np.float64]

MARKETS = ("mean_reversion", "lead_lag", "regimes")
FEES = (2e-4, 5e-4)
#: Days that are drawn of each market, by clock, and days of one world: each is drawn in one piece.
DAYS, WORLD = {"1s": 60, "1m": 360}, {"1s": 5, "1m": 90}
#: Decisions that the example of an agent is late.
LATE = 1
COLUMNS = (
    "market", "clock", "fee", "days", "oracle: expected", "earned", "filter: expected", "earned",
    "share", "hindsight", "late", "its score", "days for 0.03", "unrelated",
)  # fmt: skip


@dataclass(frozen=True)
class Earned:
    """Log returns [d] a day, of each of the policies."""

    oracle: F64
    filtered: F64
    late: F64
    hindsight: F64


def late(policy: TablePolicy) -> TablePolicy:
    """An agent for example: it does what the filter optimum wished a few decisions ago."""
    before = np.maximum(np.arange(len(policy.best)) - LATE, 0)
    return TablePolicy("late", policy.best[before])


def world(market: str, clock: str, fee: float, days: int, seed: int) -> tuple[Earned, object]:
    """(what all of them earn in one world, the market's optimum)."""
    made = generate(market, seed, clock=clock, days=days, history_days=2, minute_days=2)
    primary, reference = (one.source() for one in made.values())
    start = parse_time("2024-01-01")
    interval = 5 * SECOND if clock == "1s" else MINUTE
    fills, trading = FillConfig(), TradingConfig(fee=fee)
    path = market_path(primary, start, start + days * DAY, interval, fills)
    optimum = planted_optimum(primary.info, trading, fills, interval)
    filtered = filter_policy(optimum, path, primary, reference)
    columns = {name: one.hidden for name, one in made.items()}
    policies = (
        oracle_policy(optimum, path, columns), filtered, late(filtered),
        hindsight(path, trading).policy,
    )  # fmt: skip
    return Earned(*(account_days(path, p, trading).log for p in policies)), optimum


def interval(daily: F64) -> str:
    """Mean and half of its 95% interval."""
    return f"{daily.mean():.4f} ± {1.96 * daily.std(ddof=1) / math.sqrt(len(daily)):.4f}"


def row(market: str, clock: str, fee: float, days: int, seed: int) -> list[str]:
    """One line of the table."""
    size, found = min(WORLD[clock], days), []
    for number in range(max(1, days // size)):
        earned, optimum = world(market, clock, fee, size, seed + number)
        found.append(earned)
    both = Earned(
        *(np.concatenate([getattr(e, name) for e in found]) for name in Earned.__annotations__)
    )
    expected = optimum.expected(np.random.default_rng(seed))  # type: ignore[attr-defined]
    agent = score(both.late, both.filtered)
    return [
        market, clock, f"{fee * 1e4:g} bp", str(len(both.oracle)),
        drawn(expected.oracle, expected.oracle_error), interval(both.oracle),
        drawn(expected.filtered, expected.filtered_error), interval(both.filtered),
        f"{both.filtered.sum() / both.oracle.sum():.3f}", f"{both.hindsight.mean():.3f}",
        interval(both.late), f"{agent.value:.3f} ± {agent.standard_error:.3f}",
        str(agent.days_for()), str(unrelated_days(both.filtered)),
    ]  # fmt: skip


def unrelated_days(optimum: F64) -> int:
    """Days for a standard error of 0.03 of an agent that earns 0.7 of the optimum, as unevenly, on
    other days: the most that an agent of such a score should need."""
    uneven = optimum.std(ddof=1) / optimum.mean()
    return math.ceil((1.0 + 0.7**2) * (uneven / 0.03) ** 2)


def drawn(value: float, error: float) -> str:
    """An expectation, with its 95% interval where it was drawn."""
    return f"{value:.4f}" + (f" ± {1.96 * error:.4f}" if error else "")


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markets", nargs="+", choices=MARKETS, default=list(MARKETS))
    parser.add_argument("--clock", nargs="+", choices=("1s", "1m"), default=["1s", "1m"])
    parser.add_argument("--days", type=int, default=0, help="days to draw; 0: 60 or 360")
    parser.add_argument("--seed", type=int, default=100)
    given = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    for clock in given.clock:
        for market in given.markets:
            for fee in FEES:
                cells = row(market, clock, fee, given.days or DAYS[clock], given.seed)
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
