"""How a learning rate falls over a budget."""

from __future__ import annotations

import math

#: The learning rates end at this share of their height.
_FINAL_RATE = 0.05


def falling(progress: float) -> float:
    """Share of the learning rate: a cosine from 1 down to a twentieth, where it stays.

    progress: share of the budget that is spent, 0 or more (Loshchilov & Hutter 2017, section 3).
    """
    fall = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return _FINAL_RATE + (1.0 - _FINAL_RATE) * fall
