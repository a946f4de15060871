"""On a martingale nothing that is known tells what comes."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.time import SECOND
from tests.market.synthetic.worlds import BTC, ETH, autocorrelation, market, net_profit, seen


def test_returns_are_not_autocorrelated_at_any_lag() -> None:
    returns = np.diff(market("martingale")[ETH].hidden["log_price"])
    for lag in (1, 2, 5, 30, 60, 300):
        assert abs(autocorrelation(returns, lag)) < 4.5 / np.sqrt(len(returns))


@pytest.mark.parametrize("horizon", [10, 60, 300])
def test_the_variance_of_traded_prices_grows_with_time(horizon: int) -> None:
    """Lo & MacKinlay's variance ratio; the bounce of ticks is far below a second's volatility."""
    made = market("martingale")[ETH]
    price = seen(made, made.hidden["ts"])[60:]
    one = np.diff(price)
    ratio = np.var(price[horizon:] - price[:-horizon]) / (horizon * np.var(one))
    assert ratio == pytest.approx(1.0, abs=6 * np.sqrt(horizon / len(one)) + 0.02)


def test_neither_symbol_leads_the_other() -> None:
    made = market("martingale")
    eth, btc = (np.diff(made[name].hidden["log_price"]) for name in (ETH, BTC))
    assert np.corrcoef(eth, btc)[0, 1] == pytest.approx(0.8, abs=0.01)
    bound = 4.5 / np.sqrt(len(eth))
    for lag in (1, 5, 30):
        assert abs(np.corrcoef(eth[lag:], btc[:-lag])[0, 1]) < bound
        assert abs(np.corrcoef(btc[lag:], eth[:-lag])[0, 1]) < bound


@pytest.mark.parametrize("window", [5, 30, 300])
def test_neither_trend_nor_contrarian_rules_gain_before_costs(window: int) -> None:
    made = market("martingale")[ETH]
    ts = made.hidden["ts"]
    price = seen(made, ts)
    rows = np.arange(600, len(ts) - 600, 5)
    signal = price[rows] - price[rows - window]
    gross = net_profit(made, ts[rows], signal, 0.0, fee=0.0)
    volatility = np.std(np.diff(price)) * np.sqrt(len(ts))
    assert abs(gross) < 4 * volatility


def test_the_clocks_of_ticks_and_bars_have_the_same_volatility() -> None:
    made = market("martingale", 3, days=2, clustering=0.0, season=0.0)[ETH]
    start = made.hidden["ts"][0]
    minutes = made.bars["1m"]
    move = np.log(minutes.close / minutes.open)
    ticks = minutes.ts >= start
    assert move[ticks].std() == pytest.approx(move[~ticks].std(), rel=0.06)
    reach = np.log(minutes.high / minutes.low)
    assert reach[ticks].mean() == pytest.approx(reach[~ticks].mean(), rel=0.1)
    assert minutes.volume[ticks].mean() == pytest.approx(minutes.volume[~ticks].mean(), rel=0.05)
    assert minutes.count[ticks].mean() == pytest.approx(minutes.count[~ticks].mean(), rel=0.05)
    assert int(start) % SECOND == 0
