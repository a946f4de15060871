"""The local exchange as a server: in the caller's event loop, or in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self, TypeVar

from aiohttp import web

from apex_trader.errors import ApexError
from tests.local_exchange.archive import Archive
from tests.local_exchange.clock import Clock
from tests.local_exchange.connection import SocketConfig
from tests.local_exchange.control import Control
from tests.local_exchange.endpoints import Exchange
from tests.local_exchange.faults import Fault, On, Request, Scripted, scripted
from tests.local_exchange.feed import Feed, Venue
from tests.local_exchange.frame_faults import (
    Disconnect,
    FrameScripted,
    Goodbye,
    HalfClose,
    OnFrame,
    frame_scripted,
)
from tests.local_exchange.gate import Gate
from tests.local_exchange.limits import LimitConfig
from tests.local_exchange.rest import Rest, archive_handler
from tests.local_exchange.sockets import API_PATH, Sockets
from tests.local_exchange.trading.config import Account, TradingConfig
from tests.local_exchange.truth import Truth
from tests.local_exchange.user_streams import UserStreams

T = TypeVar("T")


class LocalExchange:
    """Binance's spot and USD-M markets on this machine, for the unmodified clients.

    ``async with LocalExchange(feed) as exchange`` serves in the running event loop; a plain
    ``with`` serves in a thread, for synchronous code. A ``faults`` script meets requests,
    ``frame_faults`` trades on sockets; either can be changed at any time (``follow``).

    Args:
        feed: the markets.
        clock: the exchange's time; by default it stands at the feed's end, so that everything is
            history. Start it at ``feed.begin`` to have a live market.
        limits: request weights. sockets: how connections are kept.
        accounts: who may trade, with their keys and funds. trading: fees, margins and the like.
        archive_delay: µs after its period's end at which a file of the archive appears.
    """

    def __init__(
        self, feed: Feed, *, clock: Clock | None = None, faults: Scripted = None,
        frame_faults: FrameScripted = None, limits: LimitConfig | None = None,
        sockets: SocketConfig | None = None, accounts: Sequence[Account] = (),
        trading: TradingConfig | None = None, archive_delay: int = 0, host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:  # fmt: skip
        self.feed = feed
        self.clock = clock or Clock(feed.end, speed=0)
        self.counts: Counter[str] = Counter()
        self._exchange = Exchange(feed, self.clock, limits or LimitConfig(), accounts, trading)
        self.truth = Truth(self._exchange.engine, self._look)
        self._archive = Archive(self._exchange, archive_delay)
        self._gate = Gate(self.clock, self.counts, self._note_lost)
        self._sockets = Sockets(self._exchange, sockets or SocketConfig(), self.counts)
        self._private = UserStreams(self._exchange, self._sockets)
        self._rest = Rest(self._exchange, self.truth, self.counts)
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.follow(faults, frame_faults)

    # -- addresses ----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """host:port."""
        if self._runner is None or not self._runner.addresses:
            raise ApexError("the local exchange is not open: use it in a with block")
        host, port = self._runner.addresses[0][:2]
        return f"{host}:{port}"

    @property
    def rest_url(self) -> str:
        """Takes the place of https://api.binance.com and https://fapi.binance.com."""
        return f"http://{self.address}"

    @property
    def archive_url(self) -> str:
        """Takes the place of https://data.binance.vision."""
        return f"http://{self.address}"

    @property
    def ws_url(self) -> str:
        """Takes the place of wss://stream.binance.com:9443 and wss://fstream.binance.com."""
        return f"ws://{self.address}"

    def ccxt_urls(self) -> dict[str, Any]:
        """The ``urls`` option for a ccxt client of both venues at once."""
        rest, stream = self.rest_url, f"{self.ws_url}/stream/ws"
        addresses = {
            "public": f"{rest}/api/v3", "private": f"{rest}/api/v3", "v1": f"{rest}/api/v1",
            "fapiPublic": f"{rest}/fapi/v1", "fapiPrivate": f"{rest}/fapi/v1",
            "fapiPublicV2": f"{rest}/fapi/v2", "fapiPrivateV2": f"{rest}/fapi/v2",
            "fapiPublicV3": f"{rest}/fapi/v3", "fapiPrivateV3": f"{rest}/fapi/v3",
            "dapiPublic": f"{rest}/dapi/v1", "dapiPrivate": f"{rest}/dapi/v1",
            "sapi": f"{rest}/sapi/v1", "sapiV2": f"{rest}/sapi/v2",
            "sapiV3": f"{rest}/sapi/v3", "sapiV4": f"{rest}/sapi/v4",
            "ws": {
                "spot": stream, "margin": stream, "linear": f"{self.ws_url}/fstream/ws",
                "ws-api": {"spot": f"{self.ws_url}{API_PATH}"},
            },
        }  # fmt: skip
        # A client in sandbox or demo mode comes here as well.
        return {"api": addresses, "test": addresses, "demo": addresses}

    # -- what happens -------------------------------------------------------------------------

    def follow(self, faults: Scripted = None, frame_faults: FrameScripted = None) -> None:
        """Let these faults happen from now on, in place of those before."""
        self._gate.follow(scripted(faults))
        self._sockets.follow(frame_scripted(frame_faults))

    def follow_rules(self, rules: Sequence[On | OnFrame]) -> None:
        """``follow``, with rules for requests and for frames in one list."""
        self.follow(
            [rule for rule in rules if isinstance(rule, On)],
            [rule for rule in rules if isinstance(rule, OnFrame)],
        )

    @property
    def accounts(self) -> list[str]:
        """Names of the accounts."""
        return [account.name for account in self._exchange.accounts]

    def disconnect(self, venue: Venue | None = None) -> int:
        """Cut all sockets (of a venue) without a word; how many there were."""
        return self._end(Disconnect(), venue)

    def goodbye(self, venue: Venue | None = None, code: int = 1001) -> int:
        """Close all sockets properly, as the exchange does after 24 hours."""
        return self._end(Goodbye(code), venue)

    def half_close(self, venue: Venue | None = None) -> int:
        """Silence all sockets: TCP stays, nothing comes any more."""
        return self._end(HalfClose(), venue)

    def say(self, text: str) -> None:
        """Send this text to every socket."""

        def work() -> None:
            for connection in self._sockets.connections:
                connection.say(text)

        self._in_loop(work)

    @property
    def connected(self) -> int:
        """Number of sockets that are open (a half-closed one is not)."""
        return len(self._sockets.connections)

    @property
    def subscribed(self) -> list[str]:
        """What open sockets listen to, e.g. "spot ethusdt@aggTrade", sorted."""
        open_ones = self._sockets.connections
        return sorted({f"{c.venue} {stream.name}" for c in open_ones for stream in c.streams})

    @property
    def listening(self) -> list[str]:
        """Whose private streams open sockets listen to, e.g. "futures trader", sorted."""
        streams = [held for c in self._sockets.connections for held in c.private.values()]
        return sorted({f"{held.venue} {held.account}" for held in streams})

    async def settle(self) -> None:
        """Wait until all that happened by now, in the markets and to the accounts, has been sent
        to everyone."""
        self._private.move()
        while not self._sockets.settled:
            await asyncio.sleep(0.001)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """From a synchronous caller of a threaded exchange: run a coroutine in its loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # -- opening and closing ------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        app = web.Application(middlewares=[self._gate.__call__])
        app.add_routes([*self._rest.routes(), *Control(self).routes()])
        app.router.add_get("/data/{path:.*}", archive_handler(self._archive))
        app.router.add_get("/{path:.*}", self._sockets.serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, backlog=128).start()
        self._tasks = [asyncio.create_task(self._sockets.publish())]
        if self._exchange.accounts:
            self._tasks.append(asyncio.create_task(self._private.run()))
        return self

    async def __aexit__(self, *error: object) -> None:
        self._gate.closing.set()
        for connection in self._sockets.connections:
            connection.end(Disconnect())
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._runner is not None:
            await self._runner.cleanup()

    def __enter__(self) -> Self:
        opened = threading.Event()
        failure: list[BaseException] = []
        self._thread = threading.Thread(
            target=_serve, args=(self, opened, failure), name="local exchange", daemon=True
        )
        self._thread.start()
        opened.wait()
        if failure:
            raise failure[0]
        return self

    def __exit__(self, *error: object) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _look(self, work: Callable[[], T]) -> T:
        """Look at what is traded, as it is now."""

        def look() -> T:
            self._exchange.engine.advance(self.clock.now())
            return work()

        return self._in_loop(look) if self._loop is not None else look()

    def _note_lost(self, request: Request, fault: Fault, status: int | None) -> None:
        """Note an order's request that a fault kept from the exchange."""
        for endpoint in self._rest.endpoints:
            if endpoint.order and (endpoint.path, endpoint.method) == (
                request.path, request.method
            ):  # fmt: skip
                arrival = self.truth.arrived(
                    request.time, request.method, request.path, request.query, fault.name
                )
                arrival.status = status

    def _end(self, how: Fault, venue: Venue | None) -> int:
        return self._in_loop(lambda: self._sockets.end(how, venue))

    def _in_loop(self, work: Callable[[], T]) -> T:
        """Do something in the server's loop, from whichever thread."""
        if self._thread is None or threading.current_thread() is self._thread:
            return work()

        async def later() -> T:
            return work()

        return self.run(later())


def _serve(exchange: LocalExchange, opened: threading.Event, failure: list[BaseException]) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(exchange.__aenter__())
    except BaseException as error:
        failure.append(error)
        opened.set()
        loop.close()
        return
    opened.set()
    try:
        loop.run_forever()
        loop.run_until_complete(exchange.__aexit__())
    finally:
        loop.close()
