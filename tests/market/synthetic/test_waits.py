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
    own = waits.before + waits.first
    assert own.mean() == pytest.approx(1.0 / RATE, rel=0.06)
    assert (waits.first.min(axis=0) == 0).all()
    assert (waits.last.max(axis=0) == STEPS).all()
    assert waits.first.max() <= MOST_LATE


def test_wide_gaps_tell_of_long_waits() -> None:
    gap = np.full((2, MINUTES + 1), 0.01)
    gap[:, ::2] = 0.4
    waits = drawn(gap)
    silent, wait = waits.after + STEPS - waits.last, waits.before + waits.first
    waited = silent[:, :-1] + wait[:, 1:]
    assert waited[:, 1::2].mean() > 2 * waited[:, ::2].mean()


def test_an_absent_symbol_makes_nobody_wait() -> None:
    rate = np.full((2, MINUTES), RATE)
    rate[1] = 0.0
    waits = drawn(np.full((2, MINUTES + 1), np.nan), rate)
    assert not waits.first.any()
    assert (waits.last == STEPS).all()
    assert waits.before.max() <= STEPS / 4
