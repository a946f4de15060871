"""How often an agent is how sure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Confidence levels that coverage is told at.
LEVELS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))


@dataclass(frozen=True)
class Coverage:
    """Orders that add risk, asked by an account all of whose orders pass.

    level: of confidence. orders: share of these orders at the level or above it. decisions: the
    same orders as a share of all decisions of the period.
    """

    level: float
    orders: float
    decisions: float


def coverage(confidence: NDArray[np.float64], decisions: int, gate: float) -> tuple[Coverage, ...]:
    """At every level and at the gate, of orders [n] among so many decisions; 0 without orders."""
    levels = sorted({*LEVELS, gate})
    counts = [int((confidence >= level).sum()) for level in levels]
    total = max(len(confidence), 1)
    return tuple(
        Coverage(level, count / total, count / max(decisions, 1))
        for level, count in zip(levels, counts, strict=True)
    )
