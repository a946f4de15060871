"""The trading command on a market of a local exchange whose time runs faster than real time.

    python -m tests.trade_command START STEADY SPEED WORD…

Everything is the command's own, but for the time that its feed goes by: the exchange's time was
START (µs) when the machine's steady clock said STEADY (s), and runs at SPEED ever since.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial

from apex_trader import trade
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.blocking import BlockingFeed
from apex_trader.market.stream.feed import TradeFeed
from apex_trader.market.transaction import split_market
from apex_trader.runtime.config import Config
from apex_trader.time import SECOND
from tests.local_exchange import Clock
from tests.market.stream.simulated import PATIENT, SimulatedClock


def open_feed(clock: Clock, config: Config, store: MarketStore) -> BlockingFeed:
    """The feed of the run's markets, as ``open_live_feed`` but for its clock."""
    markets = [config.market.primary, config.market.reference]
    exchange = replace(config.exchange, exchange=split_market(markets[0])[0])
    stream = replace(PATIENT, watermark=config.stream.watermark, reorder=config.stream.reorder)
    feed = TradeFeed([exchange], markets, store=store, stream=stream, clock=SimulatedClock(clock))
    return BlockingFeed(feed).open()


def main() -> None:
    start, steady, speed = int(sys.argv.pop(1)), float(sys.argv.pop(1)), float(sys.argv.pop(1))
    passed = (time.monotonic() - steady) * speed
    clock = Clock(start + round(passed * SECOND), speed)
    trade.TradeSession = partial(  # type: ignore[misc, assignment]
        trade.TradeSession, open_feed=partial(open_feed, clock)
    )
    trade.main()


if __name__ == "__main__":
    main()
