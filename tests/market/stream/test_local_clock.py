"""Whatever the local clock does, the feed loses no trade and closes no second too soon."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apex_trader.market.stream.feed import TradeFeed
from apex_trader.time import SECOND
from tests.local_exchange import Clock
from tests.market.stream.simulated import (
    BTC,
    ETH,
    PATIENT,
    Heard,
    SimulatedClock,
    configured,
    hear,
)
from tests.market.stream.test_feed import assert_whole, at, end_of, exchange_of, run, tapes

#: Pings close quiet seconds by the local clock.
PINGED = replace(PATIENT, ping=3.0)


class WrongClock(SimulatedClock):
    """A local clock that does not go with the exchange's."""

    def __init__(self, clock: Clock, pace: float = 1.0) -> None:
        super().__init__(clock)
        self._origin, self._pace, self.shift = clock.now(), pace, 0

    def now(self) -> int:
        passed = super().now() - self._origin
        return self._origin + round(passed * self._pace) + self.shift

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / self._pace)


@pytest.mark.parametrize("shift", [-150, 150])
def test_a_local_clock_that_is_set_costs_no_trade(shift: int) -> None:
    trades = tapes(400)

    async def work() -> tuple[Heard, int]:
        async with exchange_of(trades) as exchange:
            clock = WrongClock(exchange.clock)
            feed = TradeFeed([configured(exchange)], [ETH, BTC], stream=PINGED, clock=clock)
            moved = {at(120): lambda: setattr(clock, "shift", shift * SECOND)}
            return await hear(exchange, feed, end_of(trades), events=moved)

    heard, start = run(work())
    assert heard.count("revisions") == heard.count("incomplete") == heard.count("stalled") == 0
    assert_whole(heard, trades, start)
    assert heard.count("garbage") < 50
    assert abs(heard.metrics["stream/skew"] + shift) < 2


def test_an_exchange_whose_time_runs_many_times_faster_is_followed() -> None:
    trades = tapes(1200)

    async def work() -> tuple[Heard, int]:
        async with exchange_of(trades) as exchange:
            clock = WrongClock(exchange.clock, pace=0.05)
            feed = TradeFeed([configured(exchange)], [ETH, BTC], stream=PINGED, clock=clock)
            return await hear(exchange, feed, end_of(trades), 0.5)

    heard, start = run(work())
    assert heard.count("revisions") == heard.count("incomplete") == heard.count("stalled") == 0
    assert_whole(heard, trades, start)
    assert heard.count("garbage") < 50
