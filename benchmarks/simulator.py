"""Steps per second of the vectorised simulator on one core.

    python -m benchmarks.simulator

Random targets over twenty days of a random walk decided every 5 s, with pivots and the default
reward; ended lanes are reset at random rows. Figures are processor seconds of one thread.
"""

from __future__ import annotations

import time

import numpy as np

from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from apex_trader.time import DAY, MINUTE, SECOND
from apex_trader.trading.path import MarketPath
from apex_trader.trading.simulator import Simulator

INTERVAL = 5 * SECOND
ROWS = DAY // INTERVAL
DAYS, EVENTS = 20, 200
STEPS = 400_000


def random_day(number: int, rng: np.random.Generator) -> Segment:
    """A day of a random walk; one order in a hundred is not filled."""
    ts = (20_000 + number) * DAY + np.arange(ROWS, dtype=np.int64) * INTERVAL
    path = 8.0 + np.cumsum(rng.normal(0.0, 1.5e-4, 2 * ROWS))
    fill = np.where(rng.random(ROWS) < 0.01, np.nan, path[1::2])
    ones = np.ones(ROWS, np.float32)
    decisions = Decisions(
        ts, {}, {}, np.zeros((ROWS, 2), np.float32), {}, np.ones((ROWS, 0), np.float32),
        ones > 0, 5e-3 * ones, 2e-4 * ones, 0 * ones, 0.5 * ones, path[::2].copy(),
    )  # fmt: skip
    following = np.append(np.arange(1, ROWS), -1).astype(np.int32)
    outcomes = Outcomes(fill, ts + SECOND, following, np.zeros(ROWS, np.int32), 0 * ones)
    known = np.sort(rng.integers(100, ROWS, EVENTS)).astype(np.int32)
    pivots = PivotEvents(
        known, rng.integers(2, 6, EVENTS).astype(np.int8),
        rng.choice(np.array([-1, 1], np.int8), EVENTS), ts[known] - 7 * MINUTE,
    )  # fmt: skip
    return Segment(str(number), "none", "random", int(ts[0]), (0.0, 0.0), {}, {}, decisions,
                   outcomes, pivots)  # fmt: skip


def rate(path: MarketPath, lanes: int, rng: np.random.Generator) -> float:
    """Lane steps a second, resets included."""
    simulator = Simulator(path, lanes=lanes)
    starts = np.flatnonzero(path.startable)
    simulator.reset(np.arange(lanes), rng.choice(starts, lanes))
    actions = rng.integers(0, simulator.actions.size, (64, lanes))
    simulator.step(actions[0], idle=True)
    calls = max(20, STEPS // lanes)
    begin = time.process_time()
    for call in range(calls):
        ended = np.flatnonzero(simulator.ended)
        if len(ended):
            simulator.reset(ended, rng.choice(starts, len(ended)))
        simulator.step(actions[call % 64], idle=True)
    return calls * lanes / (time.process_time() - begin)


def main() -> None:
    """Prints one table."""
    rng = np.random.default_rng(0)
    path = MarketPath.from_segments([random_day(number, rng) for number in range(DAYS)])
    print(f"{'lanes':>6} {'steps/s':>12}")
    for lanes in (64, 256, 1024, 4096):
        print(f"{lanes:>6} {rate(path, lanes, rng):>12,.0f}")


if __name__ == "__main__":
    main()
