"""The local exchange for people.

    python -m tests.local_exchange --store DIR --markets binance:ETHUSDT,binance:BTCUSDT --port 8765

Its market lives: the clock starts at the first trade (or --start) and runs at --speed; --at-end
serves everything as history instead. Stop it with Ctrl-C. At --speed N a feed hears N seconds a
second: it follows the clock, and closes every second whole (up to about 50).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.market.store import BEGINNING, FOREVER, MarketStore
from apex_trader.time import format_time, parse_time
from tests.local_exchange.clock import Clock
from tests.local_exchange.faults import Close, Fault, Random, Status
from tests.local_exchange.feed import Feed
from tests.local_exchange.frame_faults import Disconnect, Duplicate, Missing, Reorder
from tests.local_exchange.server import LocalExchange

#: What ``--faults P`` lets happen: each request and each trade with so much of P.
REQUESTS: dict[Fault, float] = {Status(503): 1.0, Status(429, 1): 1.0, Close(): 1.0}
FRAMES: dict[Fault, float] = {Disconnect(): 0.02, Missing(): 1.0, Duplicate(): 1.0, Reorder(): 1.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_serve(options))
    except KeyboardInterrupt:
        return 0
    except (ApexError, OSError) as error:
        print(f"local exchange: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.local_exchange",
        description="Binance's spot and USD-M markets on this machine, fed from a market store.",
    )
    add = parser.add_argument
    add("--store", required=True, help="folder or URL of the market store")
    add("--markets", default="", help="comma-separated; LISTED=STORED gives a market another name, "
        "e.g. binance:ETHUSDT=lab:ETH (default: every market of Binance's)")  # fmt: skip
    add("--from", dest="first", help="leave out what is before this time (UTC)")
    add("--to", dest="last", help="leave out what is at or after this time (UTC)")
    add("--start", help="the clock's first time (default: the first event's)")
    add("--speed", type=float, default=1.0, help="exchange seconds per real second")
    add("--at-end", action="store_true", help="stand at the end: everything is history")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8765)
    add("--faults", type=float, default=0.0, help="probability of each fault, e.g. 0.01")
    add("--seed", type=int, default=0, help="of the faults")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    store = MarketStore(options.store)
    named = [name for name in options.markets.split(",") if name]
    names = named or [m for m in store.markets() if m.split(":")[0] in ("binance", "binanceusdm")]
    first = BEGINNING if options.first is None else parse_time(options.first)
    last = FOREVER if options.last is None else parse_time(options.last)
    feed = Feed.from_store(store, names, first, last)
    start = feed.begin if options.start is None else parse_time(options.start)
    clock = Clock(feed.end, speed=0) if options.at_end else Clock(start, options.speed)
    generator = np.random.default_rng(options.seed)
    rates = {fault: options.faults * share for fault, share in REQUESTS.items()}
    frames = {fault: options.faults * share for fault, share in FRAMES.items()}
    exchange = LocalExchange(
        feed, clock=clock, faults=Random(generator, rates), frame_faults=Random(generator, frames),
        host=options.host, port=options.port,
    )  # fmt: skip
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with exchange:
        _introduce(exchange)
        while not stopped.is_set():
            counts = f"{exchange.counts['requests']} requests, {exchange.counts['frames']} frames"
            print(f"{format_time(clock.now())}  {exchange.connected} sockets, {counts}", flush=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), 10)


def _introduce(exchange: LocalExchange) -> None:
    print(f"REST       {exchange.rest_url}/api/v3, {exchange.rest_url}/fapi/v1")
    print(f"websockets {exchange.ws_url}/ws (spot), {exchange.ws_url}/market/ws (USD-M)")
    print(f"archive    {exchange.archive_url}/data")
    for listing in exchange.feed.all():
        bars = ", ".join(listing.bars) or "no"
        counts = f"{len(listing.trades)} trades, {bars} bars, {len(listing.funding)} payments"
        print(f"{listing.info.market}: {counts}")


if __name__ == "__main__":
    sys.exit(main())
