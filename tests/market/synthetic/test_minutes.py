"""Minute bars from a latent price have the ranges and flows of a continuous path."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.market.synthetic.grids import COARSE, STEPS_PER_MINUTE
from apex_trader.market.synthetic.minutes import minute_bars
from apex_trader.market.types import Bars
from apex_trader.time import MINUTE
from tests.market.synthetic.test_tape import LAW

MINUTES = 20_000
SIGMA = 1e-4


def bars(seed: int = 0) -> tuple[Bars, np.ndarray]:
    rng = np.random.default_rng(seed)
    steps = MINUTES * STEPS_PER_MINUTE
    moves = SIGMA * np.sqrt(COARSE / 1e6) * rng.standard_normal(steps)
    mid = np.log(2000.0) + np.append(0.0, np.cumsum(moves))
    edges = np.arange(steps + 1) * COARSE
    return minute_bars(edges, mid, np.full(steps, SIGMA), SIGMA, LAW, rng), mid


def test_bars_are_possible_and_on_the_grid() -> None:
    made, _ = bars()
    np.testing.assert_array_equal(made.ts, np.arange(MINUTES) * MINUTE)
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert (made.low <= np.minimum(made.open, made.close)).all()
    for price in (made.open, made.high, made.low, made.close):
        np.testing.assert_array_equal(price, np.rint(price * 100) / 100)
    assert (made.volume > 0).all()
    assert (made.taker_buy_volume >= 0).all()
    assert (made.taker_buy_volume <= made.volume).all()


def test_the_mean_range_is_twice_the_mean_move_as_of_a_brownian_motion() -> None:
    made, _ = bars()
    reach = np.log(made.high / made.low).mean()
    move = np.abs(np.log(made.close / made.open)).mean()
    assert reach / move == pytest.approx(2.0, rel=0.03)


def test_a_minute_opens_where_the_last_one_closed_up_to_rounding() -> None:
    made, _ = bars()
    assert np.abs(made.open[1:] - made.close[:-1]).max() <= 0.0101


def test_flow_is_as_asked_and_leans_with_the_move() -> None:
    made, _ = bars()
    assert made.count.mean() == pytest.approx(240.0, rel=0.03)
    assert (made.volume * made.open).mean() == pytest.approx(240_000.0, rel=0.05)
    lean = made.taker_buy_volume / made.volume - 0.5
    assert np.corrcoef(lean, np.log(made.close / made.open))[0, 1] > 0.05
