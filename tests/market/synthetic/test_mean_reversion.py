"""The planted deviation dies with its half-life, and what can be seen of it pays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.market.synthetic.worlds import ETH, autocorrelation, market, net_profit, seen


def test_the_deviation_has_its_size_and_half_life() -> None:
    deviation = market("mean_reversion", 1, days=3)[ETH].hidden["deviation"]
    assert deviation.std() == pytest.approx(12e-4, rel=0.1)
    assert autocorrelation(deviation, 60) == pytest.approx(0.5, abs=0.04)


def test_the_half_life_is_recovered_from_traded_prices() -> None:
    """The variance of h-second moves rises as 2·var·(1 - 2^(-h/half-life)) above the walk's."""
    made = market("mean_reversion", 1, days=3, half_life=40.0, volatility=0.2)[ETH]
    price = seen(made, made.hidden["ts"])[60:]
    lags = np.array([5, 10, 20, 40, 80, 160, 320])
    measured = np.array([np.var(price[lag:] - price[:-lag]) for lag in lags])
    best = min(np.arange(10.0, 120.0, 1.0), key=lambda h: _misfit(h, lags, measured))
    assert best == pytest.approx(40.0, rel=0.15)


def _misfit(half_life: float, lags: np.ndarray, measured: np.ndarray) -> float:
    basis = (
        np.stack([1 - np.exp2(-lags / half_life), lags.astype(float)], axis=1) / measured[:, None]
    )
    fit, *_ = np.linalg.lstsq(basis, np.ones(len(lags)), rcond=None)
    return float(np.sum((basis @ fit - 1) ** 2))


def test_the_expected_move_is_what_the_deviation_gives_back() -> None:
    hidden = market("mean_reversion", 1, days=3)[ETH].hidden
    price, deviation = hidden["log_price"], hidden["deviation"]
    ahead = price[60:] - price[:-60]
    slope = np.polyfit(deviation[:-60], ahead, 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.06)


def test_what_can_be_seen_pays_after_fees_and_latency() -> None:
    """A steady-state Kalman filter on prices seen, at the default edge, on decisions of 5 s."""
    made = market("mean_reversion")[ETH]
    ts = made.hidden["ts"]
    estimate = kalman(seen(made, ts), 60.0, 12e-4, 0.4)
    rows = np.arange(600, len(ts) - 1, 5)
    seen_profit = net_profit(made, ts[rows], -estimate[rows], 8e-4)
    oracle = net_profit(made, ts[rows], -made.hidden["deviation"][rows], 8e-4)
    blind = net_profit(made, ts[rows], estimate[rows], 8e-4)
    assert 0.15 < seen_profit < oracle
    assert blind < 0


def kalman(price: np.ndarray, half_life: float, deviation: float, volatility: float) -> np.ndarray:
    """Mean of the deviation given the prices so far; gain of the steady state."""
    theta = math.log(2) / half_life
    kick = 2 * theta * deviation**2
    share = kick / (kick + volatility**2 / (365.25 * 86400))
    gain = share - (share - 1 + math.sqrt(1 - share))
    estimate = np.zeros(len(price))
    for k in range(1, len(price)):
        prior = estimate[k - 1] * (1 - theta)
        estimate[k] = prior + gain * (price[k] - price[k - 1] - prior + estimate[k - 1])
    return estimate
