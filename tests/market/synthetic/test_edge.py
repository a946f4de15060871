"""No policy gains on martingale minutes that are filled, and one that sees a second ahead does."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.market.synthetic.densified import densify
from apex_trader.market.synthetic.edge import LEARNING_DAYS, EdgeTest, signals, t_statistics
from apex_trader.market.types import Trades
from apex_trader.time import DAY, MINUTE, SECOND, parse_time
from tests.market.synthetic.worlds import BTC, ETH, market

START = parse_time("2024-01-01")
#: The clusterless tape that the martingale's minutes come from.
SOURCE = {"trades_per_second": 4.0, "sweep": 2.0, "cluster": 1.0}
DAYS = 6


@pytest.fixture(scope="module")
def days() -> list[tuple[Trades, Trades]]:
    """Days of ETH and BTC, filled from the minutes of a martingale."""
    world = market("martingale", 1, days=DAYS)
    bars = {name: world[name].bars["1m"].between(START, START + DAYS * DAY) for name in (ETH, BTC)}
    made = densify(bars, 0, **SOURCE)
    tapes = [made[name].trades for name in (ETH, BTC)]
    assert all(tape is not None for tape in tapes)
    return [
        tuple(tape.between(day, day + DAY) for tape in tapes)  # type: ignore[union-attr, misc]
        for day in range(START, START + DAYS * DAY, DAY)
    ]


def gains(days: list[tuple[Trades, Trades]], leak: int = 0) -> dict[str, tuple[float, float]]:
    """(mean gain per decision, its t) of every policy on both symbols; a symbol's day is one."""
    tests = EdgeTest(leak), EdgeTest(leak)
    return t_statistics(
        [test.gains(*pair) for eth, btc in days
         for test, pair in zip(tests, ((eth, btc), (btc, eth)), strict=True)]
    )  # fmt: skip


def surely(found: tuple[float, float]) -> float:
    """What a policy gains at least, in bp: three standard errors below its mean."""
    mean, t = found
    return 1e4 * mean * (1.0 - 3.0 / abs(t))


def test_no_policy_surely_gains_a_fiftieth_of_a_basis_point(
    days: list[tuple[Trades, Trades]],
) -> None:
    """Per decision of 5 s, before any cost; a round trip of fees is 4 bp."""
    worst = {name: surely(found) for name, found in gains(days).items() if found[0] > 0}
    assert max(worst.values()) < 0.02, worst


def test_a_leak_of_one_second_is_found(days: list[tuple[Trades, Trades]]) -> None:
    found = gains(days, leak=SECOND)
    assert surely(found["trend 1 s"]) > 0.04
    assert surely(found["adaptive"]) > 0.04


def test_a_straight_way_to_the_close_is_found(days: list[tuple[Trades, Trades]]) -> None:
    """Trades moved onto the line from their minute's first price to its last."""
    straight = [(straightened(eth), straightened(btc)) for eth, btc in days]
    assert surely(gains(straight)["adaptive"]) > 0.2


def straightened(tape: Trades) -> Trades:
    minute = tape.ts // MINUTE
    first = np.searchsorted(minute, minute, side="left")
    last = np.searchsorted(minute, minute, side="right") - 1
    share = (tape.ts - tape.ts[first]) / np.maximum(tape.ts[last] - tape.ts[first], 1)
    price = tape.price[first] * (1 - share) + tape.price[last] * share
    return Trades(tape.ts, price, tape.amount, tape.side, tape.id)


def test_signals_see_no_trade_at_or_after_the_decision(days: list[tuple[Trades, Trades]]) -> None:
    eth, btc = days[0]
    ts = np.array([START + 12 * 3600 * SECOND])
    before = signals(eth.between(0, ts[0]), btc.between(0, ts[0]), ts)
    for name, value in signals(eth, btc, ts).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_the_regression_trades_only_on_what_earlier_days_taught(
    days: list[tuple[Trades, Trades]],
) -> None:
    test = EdgeTest()
    for day, pair in enumerate(days):
        assert ("adaptive" in test.gains(*pair)) == (day >= LEARNING_DAYS)
