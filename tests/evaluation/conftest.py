"""Two days of a random walk with a gap and funding, and policies that trade on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from apex_trader.time import DAY, SECOND
from apex_trader.trading.path import MarketPath

INTERVAL = 5 * SECOND
FIRST_DAY = 20_000 * DAY


def segment(
    mark: NDArray[np.float64],
    fill: NDArray[np.float64],
    day: int = 0,
    gaps: tuple[int, ...] = (),
    funding: NDArray[np.float32] | None = None,
) -> Segment:
    """A day whose decisions see ``mark`` and fill at ``fill`` a second later."""
    n = len(mark)
    ts = FIRST_DAY + day * DAY + np.arange(n, dtype=np.int64) * INTERVAL
    ends = np.zeros(n, bool)
    ends[[n - 1, *gaps]] = True
    episode = np.concatenate([[0], np.cumsum(ends[:-1])]).astype(np.int32)
    following = np.where(ends, -1, np.arange(1, n + 1)).astype(np.int32)
    ones = np.ones(n, np.float32)
    decisions = Decisions(
        ts, {}, {}, np.zeros((n, 2), np.float32), {}, np.ones((n, 0), np.float32),
        np.ones(n, bool), ones * np.float32(5e-3), ones * np.float32(2e-4), 0.0 * ones,
        ones * np.float32(0.5), mark,
    )  # fmt: skip
    filled_at = np.where(np.isnan(fill), 0, ts + SECOND)
    paid = np.zeros(n, np.float32) if funding is None else funding
    outcomes = Outcomes(fill, filled_at, following, episode, paid)
    nothing = np.zeros(0, np.int64)
    events = PivotEvents(
        nothing.astype(np.int32), nothing.astype(np.int8), nothing.astype(np.int8), nothing
    )
    return Segment(
        f"day{day}", "test", "test:ETH", FIRST_DAY + day * DAY, (0.0, 0.0), {}, {}, decisions,
        outcomes, events,
    )  # fmt: skip


def prices(*values: float) -> Segment:
    """A day with these prices at its decisions; orders fill at the decision's own price."""
    mark = np.log(np.array(values, np.float64))
    return segment(mark, mark.copy())


def walk(seed: int, days: int = 2, rows: int = 240) -> list[Segment]:
    """Days of a random walk with a gap in each, orders that fail, and funding now and then."""
    rng = np.random.default_rng(seed)
    path = 7.0 + np.cumsum(rng.normal(0.0, 4e-4, 2 * rows * days)).reshape(days, 2 * rows)
    out = []
    for day, moves in enumerate(path):
        fill = moves[1::2].copy()
        fill[rng.random(rows) < 0.1] = np.nan
        funding = np.where(rng.random(rows) < 0.05, 1e-4, 0.0).astype(np.float32)
        funding[-1] = 3e-4  # the day's last row pays at midnight
        out.append(segment(moves[::2].copy(), fill, day, (rows // 3,), funding))
    return out


@dataclass(frozen=True)
class Scripted:
    """Actions by decision time, whatever the state: the same path gives the same trades."""

    path: MarketPath
    actions: NDArray[np.uint8]
    name: str = "scripted"

    def act(self, rows, accounts, positions):  # type: ignore[no-untyped-def]
        return self.actions[rows]


def scripted(path: MarketPath, seed: int, hold: int = 6) -> Scripted:
    """Random wishes, each kept for about ``hold`` decisions."""
    rng = np.random.default_rng(seed)
    wishes = rng.integers(0, 3, len(path)).astype(np.uint8)
    keep = np.maximum.accumulate(
        np.where(rng.random(len(path)) < 1 / hold, np.arange(len(path)), 0)
    )
    return Scripted(path, wishes[keep])


@dataclass(frozen=True)
class Tools:
    """What the tests make markets and policies with."""

    segment = staticmethod(segment)
    prices = staticmethod(prices)
    walk = staticmethod(walk)
    scripted = staticmethod(scripted)
    policy = Scripted
    replace = staticmethod(replace)
    interval = INTERVAL
    first_day = FIRST_DAY


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools()
