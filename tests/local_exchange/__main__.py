"""The local exchange for people.

    python -m tests.local_exchange --store DIR --markets binance:ETHUSDT,binance:BTCUSDT --port 8765

One account trades, with the keys that are printed. What goes wrong is said by --faults (by
chance), by --fault (by rule), or at any time over HTTP (`control`).

Its market lives: the clock starts at the first trade (or --start) and runs at --speed; --at-end
serves everything as history instead. Stop it with Ctrl-C. At --speed N a feed hears N seconds a
second: it follows the clock, and closes every second whole (up to about 50).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import Sequence

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.market.store import BEGINNING, FOREVER, MarketStore
from apex_trader.time import format_time, parse_time
from tests.local_exchange.clock import Clock
from tests.local_exchange.control import FAULTS, rule
from tests.local_exchange.faults import (
    Close,
    Fault,
    LostAnswer,
    On,
    Random,
    Request,
    Script,
    Status,
    Unknown,
    scripted,
)
from tests.local_exchange.feed import Feed
from tests.local_exchange.frame_faults import (
    Disconnect,
    Duplicate,
    FrameScript,
    Missing,
    OnFrame,
    Reorder,
    frame_scripted,
)
from tests.local_exchange.server import LocalExchange
from tests.local_exchange.trading.config import Account, TradingConfig

#: What ``--faults P`` lets happen: each request and each trade with so much of P.
REQUESTS: dict[Fault, float] = {Status(503): 1.0, Status(429, 1): 1.0, Close(): 1.0}
#: The same for requests about orders, of which the client is to learn what became of them.
ORDERS: dict[Fault, float] = {
    **REQUESTS, LostAnswer(): 1.0, Unknown(executed=True): 0.5, Unknown(executed=False): 0.5
}  # fmt: skip
FRAMES: dict[Fault, float] = {Disconnect(): 0.02, Missing(): 1.0, Duplicate(): 1.0, Reorder(): 1.0}


_EPILOG = f"""
trading: the account of --key and --secret places, queries and cancels orders on both venues with
  any client that signs by HMAC, e.g. ccxt with its addresses changed to those printed at the start.
  Orders are filled by the trades of the store as they come: of each, once, what it has.
faults: a rule is JSON, as --fault or in a list sent to /local/faults at any time:
  {{"fault": "LostAnswer", "where": "POST /fapi/v1/order", "skip": 1, "times": 1}}
  {{"fault": "Unknown", "executed": true, "where": "POST", "every": 3}}
  {{"fault": "Refuse", "code": -2019, "where": "/order"}}   {{"fault": "Status", "code": 429,
  "retry_after": 5}}   {{"fault": "Missing", "where": "user@ORDER_TRADE_UPDATE", "times": 1}}
  where: a part of "METHOD /path", of "futures /path", or, for sockets, of a stream's name.
  They are: {", ".join(FAULTS)}.
while it runs:
  curl ADDRESS/local/faults -d '[]'                                   (nothing goes wrong any more)
  curl ADDRESS/local/sockets -d '{{"how": "Disconnect", "venue": "futures"}}'
  curl ADDRESS/local/clock -d '{{"advance": 60}}'                       (or {{"speed": 5}})
  curl ADDRESS/local/truth               (every request, order, fill; balances and positions)
"""


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
        description="Binance's spot and USD-M markets on this machine, fed from a market store: "
        "market data, an account that trades, its private streams, and faults on demand.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
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
    add("--spot", default="USDT=10000", help="the account's coins on the spot venue, e.g. "
        "USDT=10000,ETH=2 (default: %(default)s)")  # fmt: skip
    add("--futures", default="USDT=10000", help="its margin on the futures venue")
    add("--leverage", type=int, default=20, help="of each perpetual, until the client changes it")
    add("--key", default=Account.key, help="API key (default: %(default)s)")
    add("--secret", default="LocalExchangeSecret", help="its secret (default: %(default)s)")
    add("--timestamps", default="host", choices=("host", "exchange", "unchecked"),
        help="clock against which signed requests' timestamps are held: this machine's (default), "
        "the exchange's own, or none")  # fmt: skip
    add("--fault", action="append", default=[], metavar="RULE", help="a fault by rule, as JSON; "
        "may be given several times")  # fmt: skip
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
    exchange = LocalExchange(
        feed, clock=clock, accounts=[_account(options)],
        trading=TradingConfig(timestamps=options.timestamps), host=options.host, port=options.port,
    )  # fmt: skip
    exchange.follow(*_scripts(options, np.random.default_rng(options.seed)))
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with exchange:
        _introduce(exchange, options)
        while not stopped.is_set():
            counts = f"{exchange.counts['requests']} requests, {exchange.counts['frames']} frames"
            print(f"{format_time(clock.now())}  {exchange.connected} sockets, {counts}", flush=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), 10)


def _account(options: argparse.Namespace) -> Account:
    return Account(
        key=options.key, secret=options.secret, spot=_funds("--spot", options.spot),
        futures=_funds("--futures", options.futures), leverage=options.leverage,
    )  # fmt: skip


def _funds(option: str, given: str) -> dict[str, str]:
    """Amounts by asset, of USDT=10000,ETH=2."""
    funds = {}
    for part in filter(None, given.split(",")):
        asset, _, amount = part.partition("=")
        if not re.fullmatch(r"[A-Z0-9]+", asset) or not re.fullmatch(r"\d+(\.\d{1,8})?", amount):
            raise ApexError(f"{option}: {part!r} is not like USDT=10000")
        funds[asset] = amount
    return funds


def _scripts(
    options: argparse.Namespace, generator: np.random.Generator
) -> tuple[Script, FrameScript]:
    """What happens to requests and to frames: the rules first, then chance."""
    rules = [_rule(text) for text in options.fault]
    requests = scripted([one for one in rules if isinstance(one, On)])
    frames = frame_scripted([one for one in rules if isinstance(one, OnFrame)])
    by_chance = {
        kind: Random(generator, {fault: options.faults * share for fault, share in rates.items()})
        for kind, rates in (("orders", ORDERS), ("requests", REQUESTS), ("frames", FRAMES))
    }

    def request(asked: Request) -> Fault | None:
        kind = "requests" if asked.method == "GET" else "orders"
        return requests(asked) or by_chance[kind](asked)

    return request, lambda frame: frames(frame) or by_chance["frames"](frame)


def _rule(text: str) -> On | OnFrame:
    try:
        return rule(json.loads(text))
    except ValueError as error:
        raise ApexError(f"--fault {text!r} is no JSON: {error}") from error


def _introduce(exchange: LocalExchange, options: argparse.Namespace) -> None:
    print(f"REST       {exchange.rest_url}/api/v3, {exchange.rest_url}/fapi/v1")
    print(f"websockets {exchange.ws_url}/ws (spot), {exchange.ws_url}/market/ws (USD-M)")
    print(f"archive    {exchange.archive_url}/data")
    print(
        f"trading    key {options.key}, secret {options.secret}; timestamps: {options.timestamps}"
    )
    print(f"           spot {options.spot or 'nothing'}; futures {options.futures or 'nothing'}")
    print(f"private    {exchange.ws_url}/private/ws?listenKey=… (USD-M: POST /fapi/v1/listenKey), "
          f"{exchange.ws_url}/ws-api/v3 (spot)")  # fmt: skip
    print(f"faults     curl {exchange.rest_url}/local/faults -d "
          '\'[{"fault": "LostAnswer", "where": "POST /fapi/v1/order", "times": 1}]\'')  # fmt: skip
    print(f"truth      curl {exchange.rest_url}/local/truth")
    for listing in exchange.feed.all():
        bars = ", ".join(listing.bars) or "no"
        counts = f"{len(listing.trades)} trades, {bars} bars, {len(listing.funding)} payments"
        print(f"{listing.info.market}: {counts}")


if __name__ == "__main__":
    sys.exit(main())
