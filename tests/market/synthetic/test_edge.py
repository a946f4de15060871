"""No policy gains on martingale minutes that are filled; one that sees a second ahead does."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.market.synthetic.densified import densify
from apex_trader.market.synthetic.edge import (
    LEARNING_DAYS,
    EdgeTest,
    signals,
    sure_t,
    t_statistics,
)
from apex_trader.market.types import Trades
from apex_trader.time import DAY, MINUTE, SECOND, parse_time
from tests.market.synthetic.brownian import brownian_tapes, minute_bars

START = parse_time("2024-01-01")
#: Days of the test, each of so many hours: enough to see a hundredth of 5 s volatility, 2.2 bp.
DAYS, HOURS = 100, 6
#: Orders a second of the tape that the minutes are made from, and the law that fills them.
RATE = 0.5
SOURCE = {"trades_per_second": RATE, "sweep": 1.0, "cluster": 1.0, "spread_ticks": 0.0}
#: What an edge has to reach to be found, in bp per decision.
FOUND = 0.02

Days = list[tuple[Trades, Trades]]


def by_day(tapes: tuple[Trades, Trades]) -> Days:
    """Both symbols' tapes of each day."""
    return [
        (tapes[0].between(day, day + DAY), tapes[1].between(day, day + DAY))
        for day in range(START, START + DAYS * DAY, DAY)
    ]


@pytest.fixture(scope="module")
def original() -> tuple[Trades, Trades]:
    return brownian_tapes(START, DAYS, HOURS, RATE, seed=1)


@pytest.fixture(scope="module")
def days(original: tuple[Trades, Trades]) -> Days:
    """Days of two symbols, filled from the minutes of a martingale."""
    bars = {f"x:{k}": minute_bars(tape, START, DAYS) for k, tape in enumerate(original)}
    one, two = (made.trades for made in densify(bars, 0, **SOURCE).values())
    assert one is not None
    assert two is not None
    return by_day((one, two))


def gains(days: Days, leak: int = 0) -> list[dict[str, float]]:
    """Mean gain per decision of every policy on each day, of both symbols together."""
    tests = EdgeTest(leak), EdgeTest(leak)
    found = []
    for one, two in days:
        both = tests[0].gains(one, two), tests[1].gains(two, one)
        found.append({name: 0.5 * (both[0][name] + both[1][name]) for name in both[0]})
    return found


def sure(found: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """(bp, t) of the policies that surely gain or lose."""
    most = sure_t(found)
    return {
        name: (1e4 * mean, t) for name, (mean, t) in t_statistics(found).items() if abs(t) > most
    }


def test_no_policy_gains_or_loses_on_filled_minutes_of_a_martingale(days: Days) -> None:
    """At no cost, over 100 days; a hundredth of the volatility between decisions would be found."""
    found = gains(days)
    assert not sure(found)
    mean, t = t_statistics(found)["adaptive"]
    assert 1e4 * abs(mean / t) * sure_t(found) < FOUND


def test_nor_on_the_trades_that_the_minutes_come_from(original: tuple[Trades, Trades]) -> None:
    assert not sure(gains(by_day(original)))


def test_a_leak_of_one_second_is_found(days: Days) -> None:
    found = sure(gains(days, leak=SECOND))
    for name in ("trend 1 s", "adaptive"):
        assert found[name][0] > FOUND


def test_a_straight_way_to_the_close_is_found(days: Days) -> None:
    """Trades moved onto the line from their minute's first price to its last."""
    straight = [(straightened(one), straightened(two)) for one, two in days]
    assert sure(gains(straight))["adaptive"][0] > 10 * FOUND


def straightened(tape: Trades) -> Trades:
    minute = tape.ts // MINUTE
    first = np.searchsorted(minute, minute, side="left")
    last = np.searchsorted(minute, minute, side="right") - 1
    share = (tape.ts - tape.ts[first]) / np.maximum(tape.ts[last] - tape.ts[first], 1)
    price = tape.price[first] * (1 - share) + tape.price[last] * share
    return Trades(tape.ts, price, tape.amount, tape.side, tape.id)


def test_signals_see_no_trade_at_or_after_the_decision(days: Days) -> None:
    one, two = days[0]
    ts = np.array([START + 3 * 3600 * SECOND])
    before = signals(one.between(0, ts[0]), two.between(0, ts[0]), ts)
    for name, value in signals(one, two, ts).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_the_regression_trades_only_on_what_earlier_days_taught(
    days: Days,
) -> None:
    test = EdgeTest()
    for day, pair in enumerate(days[: LEARNING_DAYS + 2]):
        assert ("adaptive" in test.gains(*pair)) == (day >= LEARNING_DAYS)
