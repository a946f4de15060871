"""The training command on a market that is live in simulated time, in a process of its own.

    python -m tests.live_command BEGIN SETTING…

Everything is the command's own, but for the time that its feed goes by: that of an exchange in this
process, whose markets begin at BEGIN (µs) and go on as fast as the feed can hear them.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import replace
from functools import partial

from apex_trader import train
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.blocking import BlockingFeed
from apex_trader.market.stream.feed import TradeFeed
from apex_trader.runtime import stream_run
from apex_trader.runtime.config import Config
from apex_trader.time import MINUTE
from tests.local_exchange import Clock, LocalExchange
from tests.market.stream.simulated import BTC, ETH, PATIENT, SimulatedClock, listed, moving
from tests.market.stream.tapes import tape


def open_feed(exchange: LocalExchange, config: Config, store: MarketStore) -> BlockingFeed:
    """The feed of the run's markets, as ``open_live_feed`` but for its clock."""
    reached = replace(config.exchange, url=exchange.rest_url, ws_url=exchange.ws_url)
    feed = TradeFeed([reached], [ETH, BTC], store=store, stream=PATIENT,
                     clock=SimulatedClock(exchange.clock))  # fmt: skip
    blocking = BlockingFeed(feed).open()
    threading.Thread(target=partial(exchange.run, passing(exchange)), daemon=True).start()
    return blocking


async def passing(exchange: LocalExchange) -> None:
    """The exchange's time goes on until the process ends."""
    async with moving(exchange, step=1.0):
        await asyncio.Event().wait()


def main() -> None:
    begin = int(sys.argv.pop(1))
    tapes = {m: tape(k, 8000, rate=0.5, start=begin) for k, m in enumerate((ETH, BTC))}
    with LocalExchange(listed(tapes), clock=Clock(begin + MINUTE, speed=0)) as exchange:
        followed = partial(stream_run.StreamRun, open_feed=partial(open_feed, exchange))
        stream_run.StreamRun = followed  # type: ignore[misc, assignment]
        train.main()


if __name__ == "__main__":
    main()
