"""Waits for a minute's first trade: as orders arrive, and as the gaps between minutes tell."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.market.synthetic.bridge import MOST_LATE, STEPS
from apex_trader.market.synthetic.waits import Waits, draw_waits

MINUTES = 4000
RATE = 1.5


def drawn(gap: np.ndarray, rate: np.ndarray | None = None) -> Waits:
    rate = np.full((2, MINUTES), RATE) if rate is None else rate
    return draw_waits(
        rate, gap, np.ones_like(rate), np.zeros_like(rate), 0.8, np.random.default_rng(0)
    )


def test_where_nothing_is_known_of_the_gaps_waits_are_those_of_arrivals() -> None:
    waits = drawn(np.full((2, MINUTES + 1), np.nan))
    assert waits.before.mean() == pytest.approx(0.5 / RATE, rel=0.06)
    own = waits.before + waits.late
    assert own.mean() == pytest.approx(1.0 / RATE, rel=0.06)
    assert (waits.late.min(axis=0) == 0).all()
    assert waits.late.max() <= MOST_LATE


def test_wide_gaps_tell_of_long_waits() -> None:
    gap = np.full((2, MINUTES + 1), 0.01)
    gap[:, ::2] = 0.4
    waited = drawn(gap).waited
    assert waited[:, 2:-1:2].mean() > 2 * waited[:, 1:-1:2].mean()


def test_an_absent_symbol_makes_nobody_wait() -> None:
    rate = np.full((2, MINUTES), RATE)
    rate[1] = 0.0
    waits = drawn(np.full((2, MINUTES + 1), np.nan), rate)
    assert not waits.late.any()
    assert not waits.early.any()
    assert waits.before.max() <= STEPS / 4
