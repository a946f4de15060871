"""The grids a market lives on: steps of time, price ticks and amount lots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.time import MINUTE, SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Step of the latent price where only bars are made, µs. A whole fraction of a minute.
COARSE = 15 * SECOND
STEPS_PER_MINUTE = MINUTE // COARSE


@dataclass(frozen=True)
class TimeGrid:
    """Edges of the latent price's steps: coarse ones, then seconds where ticks are made.

    edges [n + 1] µs UTC. start: index of the edge at which the asked days begin; the steps before
    it are history. fine: index of the first edge of the seconds (n without seconds).
    """

    edges: I64
    start: int
    fine: int

    @classmethod
    def of(cls, first: int, start: int, end: int, *, seconds: bool) -> TimeGrid:
        """Coarse steps over [first, start) and, in seconds or not, over [start, end); µs, days."""
        step = SECOND if seconds else COARSE
        history = np.arange(first, start, COARSE, dtype=np.int64)
        days = np.arange(start, end, step, dtype=np.int64)
        edges = np.concatenate([history, days, np.array([end], np.int64)])
        return cls(edges, len(history), len(history) if seconds else len(edges) - 1)

    @property
    def dt(self) -> F64:
        """Length of each step [n], seconds."""
        steps: F64 = np.diff(self.edges) / float(SECOND)
        return steps

    @property
    def seconds(self) -> F64:
        """Edges in seconds from the first [n + 1]."""
        since: F64 = (self.edges - self.edges[0]) / float(SECOND)
        return since


def on_grid(count: I64 | F64, step: float) -> F64:
    """count·step as the double nearest to the decimal number, as an exchange's file parses.

    Where 1/step is whole (0.01, 0.0001) that is a division: 3 * 0.1 is not 0.3, 3 / 10 is.
    """
    per_unit = round(1.0 / step) if step < 1 else 0
    if per_unit and abs(per_unit * step - 1.0) < 1e-12:
        return np.asarray(count, np.float64) / per_unit
    return np.asarray(count, np.float64) * step


def dithered(exact: F64, rng: np.random.Generator) -> I64:
    """Whole numbers at most 1 away whose *mean* is ``exact``.

    Rounding to the nearest tick would tell where inside its tick the hidden price stands, which is
    a (small) forecast of the next price. Stochastic rounding leaves a martingale a martingale.
    """
    return np.floor(exact + rng.random(len(exact))).astype(np.int64)
