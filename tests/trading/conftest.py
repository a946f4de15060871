"""Small segments with a random walk, for the account, the rewards and the simulator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from apex_trader.time import DAY, SECOND

DAY_START = 20_000 * DAY


def pivot_events(
    events: list[tuple[int, int, int, int]], start: int = DAY_START, interval: int = 5 * SECOND
) -> PivotEvents:
    """Of (known_row, level, kind, row whose time is the pivot bar's open)."""
    table = np.array(events, np.int64).reshape(-1, 4)
    return PivotEvents(
        table[:, 0].astype(np.int32), table[:, 1].astype(np.int8), table[:, 2].astype(np.int8),
        start + table[:, 3] * interval,
    )  # fmt: skip


def segment_from(
    mark: np.ndarray,
    fill: np.ndarray,
    *,
    day: int = DAY_START,
    interval: int = 5 * SECOND,
    fill_delay: int = SECOND,
    gaps: tuple[int, ...] = (),
    funding: np.ndarray | None = None,
    events: PivotEvents | None = None,
    sigma: float = 2e-4,
    choppiness: np.ndarray | None = None,
    trend: np.ndarray | None = None,
) -> Segment:
    """A day whose decisions see ``mark`` and fill at ``fill``; an episode ends at each gap row."""
    n = len(mark)
    ts = day + np.arange(n, dtype=np.int64) * interval
    ends = np.zeros(n, bool)
    ends[[n - 1, *gaps]] = True
    episode = np.concatenate([[0], np.cumsum(ends[:-1])]).astype(np.int32)
    following = np.where(ends, -1, np.arange(1, n + 1)).astype(np.int32)
    f32 = np.full(n, 1.0, np.float32)
    decisions = Decisions(
        ts, {}, {}, np.zeros((n, 2), np.float32), {}, np.ones((n, 0), np.float32),
        np.ones(n, bool), f32 * np.float32(sigma * np.sqrt(3600 * SECOND / interval)),
        f32 * np.float32(sigma),
        np.zeros(n, np.float32) if trend is None else trend.astype(np.float32),
        f32 * 0.5 if choppiness is None else choppiness.astype(np.float32), mark,
    )  # fmt: skip
    outcomes = Outcomes(
        fill, np.where(np.isnan(fill), 0, ts + fill_delay), following, episode,
        np.zeros(n, np.float32) if funding is None else funding.astype(np.float32),
    )  # fmt: skip
    return Segment(
        f"day{day}", "test", "test:ETH", day, (0.0, 0.0), {}, {}, decisions, outcomes,
        events or pivot_events([]),
    )  # fmt: skip


def walk_segment(
    seed: int = 0, rows: int = 200, level: float = 0.0, unfilled: float = 0.0, **options: Any
) -> Segment:
    """A random walk around ln price ``level``; some orders are not filled."""
    rng = np.random.default_rng(seed)
    sigma = options.get("sigma", 2e-4)
    moves = rng.normal(0.0, sigma / np.sqrt(2.0), 2 * rows)
    path = level + np.cumsum(moves)
    fill = path[1::2].copy()
    fill[rng.random(rows) < unfilled] = np.nan
    return segment_from(path[::2].copy(), fill, **options)


def mirrored(segment: Segment) -> Segment:
    """The market turned upside down: log prices, trend, funding and pivots change their sign."""
    d, o, e = segment.decisions, segment.outcomes, segment.pivot_events
    return replace(
        segment,
        decisions=replace(d, mark=-d.mark, trend=-d.trend),
        outcomes=replace(o, fill=-o.fill, funding=-o.funding),
        pivot_events=replace(e, kind=-e.kind),
    )


@dataclass(frozen=True)
class Factory:
    """What the tests make markets with."""

    segment = staticmethod(segment_from)
    walk = staticmethod(walk_segment)
    mirrored = staticmethod(mirrored)
    events = staticmethod(pivot_events)
    day = DAY_START


@pytest.fixture(scope="session")
def make() -> Factory:
    return Factory()
