"""Hidden drifts last, switch without notice, and a filter of them pays."""

from __future__ import annotations

import numpy as np
import pytest

from tests.market.synthetic.worlds import BTC, ETH, autocorrelation, market, net_profit, seen


def test_regimes_last_as_long_as_asked() -> None:
    state = market("regimes", 1, days=5, duration=300.0)[ETH].hidden["state"]
    assert set(np.unique(state)) == {-1, 0, 1}
    assert len(state) / ((np.diff(state) != 0).sum() + 1) == pytest.approx(300.0, rel=0.12)


def test_the_drift_is_the_mean_return_of_its_regime() -> None:
    hidden = market("regimes", 1, days=5)[ETH].hidden
    returns = np.diff(hidden["log_price"])
    for state in (-1, 0, 1):
        kept = returns[hidden["state"][:-1] == state]
        drift = hidden["drift"][hidden["state"] == state][0]
        assert abs(kept.mean() - drift) < 4 * kept.std() / np.sqrt(len(kept))
    speed = np.abs(hidden["drift"]).max()
    sigma = 0.3 / np.sqrt(365.25 * 86400)
    assert speed * 1800 / (sigma * np.sqrt(1800)) == pytest.approx(2.0)


def test_returns_are_autocorrelated_as_their_drift_is() -> None:
    made = market("regimes", 1, days=5)[ETH]
    minutes = np.diff(made.hidden["log_price"][::60])
    assert autocorrelation(minutes, 5) > 4 / np.sqrt(len(minutes))
    calm = np.diff(market("martingale")[ETH].hidden["log_price"][::60])
    assert abs(autocorrelation(calm, 5)) < 4.5 / np.sqrt(len(calm))


def test_both_symbols_trend_together() -> None:
    made = market("regimes")
    np.testing.assert_array_equal(made[ETH].hidden["state"], made[BTC].hidden["state"])
    np.testing.assert_allclose(made[BTC].hidden["drift"], 0.8 * made[ETH].hidden["drift"])


def test_a_filter_of_the_drift_pays_after_fees_and_latency() -> None:
    made = market("regimes", 1, days=2)[ETH]
    hidden = made.hidden
    ts = hidden["ts"]
    expected = drift_filter(seen(made, ts), hidden["volatility"], np.abs(hidden["drift"]).max())
    rows = np.arange(600, len(ts) - 1, 5)
    seen_profit = net_profit(made, ts[rows], expected[rows] * 1800, 1.2e-3)
    oracle = net_profit(made, ts[rows], hidden["drift"][rows] * 1800, 1.2e-3)
    assert 0.05 < seen_profit < oracle


def drift_filter(price: np.ndarray, sigma: np.ndarray, speed: float) -> np.ndarray:
    """Expected drift given the prices so far (Hamilton's filter of the three states)."""
    stay = np.full((3, 3), 0.5 / 1800)
    np.fill_diagonal(stay, 1 - 1 / 1800)
    drifts = speed * np.array([-1.0, 0.0, 1.0])
    move = np.diff(price, prepend=price[0])
    variance = sigma**2
    likelihood = np.exp((np.outer(move, drifts) - 0.5 * drifts**2) / variance[:, None])
    belief, expected = np.full(3, 1 / 3), np.zeros(len(price))
    for k in range(1, len(price)):
        belief = (belief @ stay) * likelihood[k]
        belief /= belief.sum()
        expected[k] = belief @ drifts
    return expected
