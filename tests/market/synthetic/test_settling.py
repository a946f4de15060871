"""Prices of orders drawn given bars have the law of the walks that made the bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from apex_trader.market.synthetic.settling import settle

#: Orders of each symbol's minute, first and last among them, and the share of their moves' variance
#: that two symbols have in common.
ORDERS, CORRELATION = 9, 0.8
#: Variance of the log deviation of minutes whose volatility is unknown.
WIDTH = 0.05
#: Correlation of the two symbols' log deviations.
SHARED = 0.7
#: So few that high and low soon change places.
FEW = 6


@dataclass
class Walked:
    """Gaussian walks of two symbols that trade in turn: price [2, minutes·points] at both symbols'
    points and what ``settle`` needs to know of them."""

    price: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray
    low: np.ndarray
    high: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    spans: np.ndarray
    symbol: np.ndarray
    expected: np.ndarray
    width: np.ndarray
    partner: np.ndarray

    def settled(self, sweeps: int, seed: int = 1) -> None:
        settle(
            self.price, self.variance, self.covariance, self.low, self.high, self.top, self.bottom,
            self.spans, self.symbol, self.expected, self.width, self.partner, SHARED, sweeps,
            np.random.default_rng(seed),
        )  # fmt: skip

    def scaled(self, scale: np.ndarray) -> None:
        """The minutes made so many times as volatile; scale [2, minutes]."""
        each = np.repeat(scale, self.price.shape[1] // scale.shape[1], axis=1)
        for values in (self.price, self.low, self.high):
            values *= each
        self.variance *= each**2
        self.covariance *= each[0] * each[1]
        self.expected -= np.log(scale).ravel()


def walked(minutes: int, correlation: float, seed: int, orders: int = ORDERS) -> Walked:
    """Each minute's price begins at 0; symbol 0 trades at the even points, symbol 1 at the odd."""
    rng = np.random.default_rng(seed)
    points = 2 * orders
    variance = rng.exponential(1.0, (minutes, points))
    variance[:, 0] = 0.0
    moves = rng.standard_normal((2, minutes, points))
    moves[1] = correlation * moves[0] + np.sqrt(1 - correlation**2) * moves[1]
    path = np.cumsum(moves * np.sqrt(variance), axis=2)
    low, high = np.full(path.shape, -np.inf), np.full(path.shape, np.inf)
    top: list[np.ndarray] = []
    bottom: list[np.ndarray] = []
    spans: list[np.ndarray] = []
    for k in range(2):
        own = path[k, :, k::2]
        low[k, :, k::2] = own.min(axis=1)[:, None]
        high[k, :, k::2] = own.max(axis=1)[:, None]
        begin = points * np.arange(minutes)
        spans.append(np.stack([begin + k, begin + k + points - 2], axis=1))
        for extreme, found in ((own.argmax(axis=1), top), (own.argmin(axis=1), bottom)):
            inner = (extreme > 0) & (extreme < orders - 1)
            found.append(np.where(inner, begin + k + 2 * extreme, -1))
    # outside of a symbol's own stretch nothing is known of it
    inside = np.ones((2, minutes, points), bool)
    inside[1, :, :2], inside[0, :, -1] = False, False
    both = np.stack([variance, variance]) * inside
    flat = (2, minutes * points)
    covariance = correlation * np.sqrt(both[0] * both[1]).ravel()
    return Walked(
        path.reshape(flat), both.reshape(flat), covariance, low.reshape(flat), high.reshape(flat),
        np.concatenate(top), np.concatenate(bottom), np.concatenate(spans),
        np.repeat([0, 1], minutes), np.zeros(2 * minutes), np.zeros(2 * minutes),
        np.roll(np.arange(2 * minutes), minutes),
    )  # fmt: skip


def facts(of: Walked, orders: int = ORDERS) -> dict[str, np.ndarray]:
    """Figures of each minute [minutes] in which a wrong law would show."""
    shape = (2, -1, 2 * orders)
    price = of.price.reshape(shape)
    one, two = price[0, :, ::2], price[1, :, 1::2]
    moves = np.diff(one, axis=1)
    reach = np.maximum(np.ptp(one, axis=1), 1e-9)
    extreme = (one >= np.maximum.accumulate(one, axis=1)).astype(float)
    extreme -= one <= np.minimum.accumulate(one, axis=1)
    return {
        "when the high is": one.argmax(axis=1).astype(float),
        "whether the high comes first": (one.argmax(axis=1) < one.argmin(axis=1)).astype(float),
        "the middle's square": one[:, orders // 2] ** 2,
        "squares of moves": (moves**2).sum(axis=1),
        "moves and the next": (moves[:, 1:] * moves[:, :-1]).sum(axis=1),
        "moves behind an extreme": (extreme[:, :-1] * moves).sum(axis=1),
        "time near the high": (one > one.max(axis=1)[:, None] - 0.2 * reach[:, None]).sum(axis=1),
        "moves of both": (moves * np.diff(two, axis=1)).sum(axis=1),
        "moves and the other's before": (moves[:, 1:] * np.diff(two, axis=1)[:, :-1]).sum(axis=1),
    }


def assert_alike(found: Walked, true: Walked, orders: int = ORDERS) -> None:
    """Every fact's mean within four standard errors; same bars, so the differences are paired."""
    wanted = facts(true, orders)
    for name, values in facts(found, orders).items():
        difference = values - wanted[name]
        error = difference.std() / np.sqrt(len(difference))
        assert abs(difference.mean()) <= 4 * error + 1e-12, (name, difference.mean() / error)


@pytest.mark.parametrize("correlation", [0.0, CORRELATION, -CORRELATION])
def test_walks_that_made_the_bars_keep_their_law(correlation: float) -> None:
    """Redrawn given their own bars, they are as the first ones (Geweke 2004: getting it right)."""
    made, true = (walked(30_000, correlation, seed=3) for _ in range(2))
    made.settled(3)
    assert np.mean(made.price != true.price) > 0.4
    assert_alike(made, true)


def of_all_volatilities(minutes: int, correlation: float) -> Walked:
    """Walks whose deviations are drawn from the prior."""
    normal = np.random.default_rng(8).standard_normal((2, minutes))
    normal[1] = SHARED * normal[0] + np.sqrt(1 - SHARED**2) * normal[1]
    scale = np.exp(np.sqrt(WIDTH) * normal)
    made = walked(minutes, correlation, seed=3)
    made.scaled(scale)
    made.width += WIDTH
    return made


@pytest.mark.parametrize("correlation", [0.0, CORRELATION, -CORRELATION])
def test_volatility_and_walks_that_made_the_bars_keep_their_law(correlation: float) -> None:
    """Deviations drawn from their prior, walks from them, bars from the walks: redrawn given the
    bars both are as before, deviations in place and spread and together with the prices."""
    made, true = (of_all_volatilities(30_000, correlation) for _ in range(2))
    made.settled(5)
    assert_alike(made, true)
    was, found = -true.expected, -made.expected
    assert np.corrcoef(was, found)[0, 1] < 0.7
    assert stats.kstest(found / np.sqrt(WIDTH), "norm").pvalue > 1e-3
    reach = np.log(np.ptp(made.price.reshape(2, 30_000, -1), axis=2).ravel())
    product = np.prod(found.reshape(2, -1), axis=0) - np.prod(was.reshape(2, -1), axis=0)
    for values in (found - was, product, found**2 - was**2, (found - was) * reach):
        assert abs(values.mean()) <= 4 * values.std() / np.sqrt(len(values))


def test_a_wrong_volatility_is_forgotten() -> None:
    """One that begins a third too high, as prices at rough places make it."""
    made, true = (of_all_volatilities(4_000, CORRELATION) for _ in range(2))
    made.variance *= 1.3**2
    made.covariance *= 1.3**2
    made.expected -= np.log(1.3)
    made.settled(60)
    error = 4 * np.sqrt(WIDTH / 8_000)
    assert (true.expected - made.expected).mean() == pytest.approx(0.0, abs=error)
    assert_alike(made, true)


def test_a_known_volatility_stays() -> None:
    made, true = (walked(50, CORRELATION, seed=6) for _ in range(2))
    made.settled(10)
    np.testing.assert_array_equal(made.variance, true.variance)


def test_a_wrong_start_is_forgotten() -> None:
    """All prices in the middle of the bar, the extremes made by the first orders that can."""
    made, true = (walked(15_000, CORRELATION, 4, FEW) for _ in range(2))
    own = np.isfinite(made.low)
    middle = 0.5 * (made.low[own] + made.high[own])
    fixed = np.zeros_like(own)
    for k in range(2):
        mine = made.spans[made.symbol == k]
        fixed[k, mine.ravel()] = True
    made.price[own] = np.where(fixed[own], made.price[own], middle)
    made.price[~own] = 0.0
    for extreme, level, place in ((made.top, made.high, 1), (made.bottom, made.low, 2)):
        needed = np.flatnonzero(extreme >= 0)
        extreme[needed] = made.spans[needed, 0] + 2 * place
        made.price[made.symbol[needed], extreme[needed]] = level[
            made.symbol[needed], extreme[needed]
        ]
    with pytest.raises(AssertionError):
        assert_alike(made, true, FEW)
    made.settled(150)
    assert_alike(made, true, FEW)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(3, 40), st.floats(-0.95, 0.95), st.integers(1, 20))
def test_bars_are_kept(seed: int, orders: int, correlation: float, sweeps: int) -> None:
    made, true = (walked(20, correlation, seed, orders) for _ in range(2))
    made.settled(sweeps, seed)
    for k in range(2):
        now, then = (w.price[k].reshape(20, -1)[:, k::2] for w in (made, true))
        np.testing.assert_allclose(now[:, [0, -1]], then[:, [0, -1]], atol=1e-9)
        np.testing.assert_allclose(now.max(axis=1), then.max(axis=1), atol=1e-9)
        np.testing.assert_allclose(now.min(axis=1), then.min(axis=1), atol=1e-9)
