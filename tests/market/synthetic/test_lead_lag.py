"""ETH does what BTC did a delay before, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.errors import ConfigError
from tests.market.synthetic.worlds import BTC, ETH, market, net_profit, seen


@pytest.mark.parametrize("delay", [7, 30])
def test_the_cross_correlation_stands_at_the_delay_alone(delay: int) -> None:
    made = market("lead_lag", 1, delay=delay)
    eth, btc = (np.diff(made[name].hidden["log_price"]) for name in (ETH, BTC))
    at = {lag: np.corrcoef(eth[lag:], btc[: len(btc) - lag])[0, 1] for lag in range(61)}
    assert max(at, key=lambda lag: at[lag]) == delay
    assert at.pop(delay) == pytest.approx(np.sqrt(0.9), abs=0.02)
    assert max(abs(value) for value in at.values()) < 0.025


def test_traded_seconds_show_the_delay_too() -> None:
    made = market("lead_lag")
    ts = made[ETH].hidden["ts"]
    eth, btc = (np.diff(seen(made[name], ts))[60:] for name in (ETH, BTC))
    at = [np.corrcoef(eth[lag:], btc[: len(btc) - lag])[0, 1] for lag in range(1, 61)]
    assert abs(int(np.argmax(at)) + 1 - 30) <= 1


def test_what_is_pending_is_what_comes() -> None:
    hidden = market("lead_lag")[ETH].hidden
    ahead = hidden["log_price"][30:] - hidden["log_price"][:-30]
    slope = np.polyfit(hidden["pending"][:-30], ahead, 1)[0]
    assert slope == pytest.approx(1.0, abs=0.03)


def test_btc_cannot_be_forecast() -> None:
    made = market("lead_lag")
    eth, btc = (np.diff(made[name].hidden["log_price"]) for name in (ETH, BTC))
    for lag in (1, 5, 30):
        assert abs(np.corrcoef(btc[lag:], eth[:-lag])[0, 1]) < 4.5 / np.sqrt(len(eth))


def test_following_btc_pays_after_fees_and_latency() -> None:
    made = market("lead_lag")
    ts = made[ETH].hidden["ts"]
    btc = seen(made[BTC], ts)
    rows = np.arange(600, len(ts) - 1, 5)
    signal = np.sqrt(0.9) / 0.8 * (btc[rows] - btc[rows - 30])
    assert net_profit(made[ETH], ts[rows], signal, 4e-4) > 0.3
    assert net_profit(made[ETH], ts[rows], -signal, 4e-4) < 0


def test_the_delay_makes_the_correlation() -> None:
    with pytest.raises(ConfigError, match="correlation"):
        market("lead_lag", 1, correlation=0.5)
