"""One socket of an exchange through ccxt: kept open, listened to, pinged."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import ccxt
from aiohttp import WSMsgType
from ccxt.async_support.base.ws.cache import ArrayCache

from apex_trader.errors import ApexError
from apex_trader.market.stream.backoff import Backoff
from apex_trader.market.stream.clock import Clock

_log = logging.getLogger(__name__)
#: Errors that no new connection mends.
_FINAL = (ccxt.NotSupported, ccxt.BadSymbol, ccxt.BadRequest, ccxt.AuthenticationError,
          ccxt.PermissionDenied, ccxt.ArgumentsRequired)  # fmt: skip
_PING_BYTES = 8
#: Rows that ccxt itself keeps of each symbol; they are handed on at once.
_KEPT = 16


@dataclass(frozen=True)
class Arrived:
    """A trade in ccxt's form, and the local time (µs) at which it came."""

    market: str
    trade: Mapping[str, Any]
    at: int


@dataclass(frozen=True)
class Subscribed:
    """From this local time (µs) on the socket says everything."""

    at: int


@dataclass(frozen=True)
class Unread:
    """At this local time (µs) the socket said something that cannot be read."""

    at: int


@dataclass(frozen=True)
class Ponged:
    """The socket had said everything that there was at this local time (µs)."""

    sent: int


@dataclass(frozen=True)
class Lost:
    """The socket is gone, and why."""

    reason: str


Event: TypeAlias = Arrived | Subscribed | Unread | Ponged | Lost


class Connection:
    """Keeps one socket for some markets of one exchange.

    ccxt connects, subscribes, decodes and parses. What it does not do is done here: a frame that
    cannot be read is counted and survived (ccxt would stop listening and say nothing), every trade
    is handed on at once with its time of arrival (ccxt's cache overwrites what is not collected),
    pings are timed, and a lost socket is replaced after an exponential back-off.

    Args:
        client: a ``ccxt.pro`` client of its own, with markets loaded.
        symbols: market → ccxt's name of it.
        wake: called when there are events to ``take``.
    """

    def __init__(
        self, client: Any, symbols: Mapping[str, str], clock: Clock, backoff: Backoff,
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self.markets = tuple(symbols)
        self.disconnects = self.garbage = 0
        self.last_frame = clock.now()
        self._client, self._symbols, self._clock = client, dict(symbols), clock
        self._backoff, self._wake = backoff, wake
        self._events: deque[Event] = deque()
        self._subscribed = False
        self._passed_on: Callable[..., Any] = client.on_connected
        client.on_connected = self._on_connected

    @property
    def live(self) -> bool:
        """Whether a socket is open and subscribed."""
        return self._subscribed

    def take(self) -> Iterable[Event]:
        """Everything that happened since the last call, in order."""
        while self._events:
            yield self._events.popleft()

    async def run(self) -> None:
        """Stay connected until cancelled. ApexError where the exchange refuses for good."""
        while True:
            reason = await self._session()
            if self._subscribed:
                self.disconnects += 1
            _log.info("%s: the socket is gone (%s)", self._client.id, reason)
            self._subscribed = False
            self._drop(reason)
            self._happened(Lost(reason))
            await self._clock.sleep(self._backoff.next())

    async def ping(self, patience: float) -> None:
        """Ask the socket for a sign of life; it is heard as ``Ponged``. patience: real seconds."""
        payload = self._clock.now().to_bytes(_PING_BYTES, "big")
        for socket in self._sockets():
            if socket.closed():
                continue
            try:
                # Not ``wait_for``: before Python 3.12 it may swallow a cancellation.
                async with asyncio.timeout(patience):
                    await socket.connection.ping(payload)
            except (ConnectionError, RuntimeError, TimeoutError) as error:
                _log.debug("%s: no ping (%s)", self._client.id, error)

    def replace(self, reason: str) -> None:
        """Give the present socket up; ``run`` opens another one."""
        self._drop(reason)

    # -- inside -------------------------------------------------------------------------------

    async def _session(self) -> str:
        """Connect, subscribe and stay until the socket is gone; why it went."""
        self.last_frame = self._clock.now()
        for market, symbol in self._symbols.items():
            self._client.trades[symbol] = _Sink(partial(self._arrived, market))
        try:
            await self._subscribe()
            await self._until_lost()
        except _FINAL as error:
            raise ApexError(
                f"{self._client.id} does not stream {', '.join(self.markets)}: {error}"
            ) from None
        except (ccxt.BaseError, OSError, TimeoutError) as error:
            return str(error) or type(error).__name__
        except asyncio.CancelledError:
            # ccxt cancels its futures when a socket closes; that is no request to stop.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return "closed"
        return "closed"

    async def _subscribe(self) -> None:
        """Returns with the first trade; ccxt raises when the socket is lost before."""
        symbols = list(self._symbols.values())
        if self._client.has.get("watchTradesForSymbols"):
            await self._client.watch_trades_for_symbols(symbols)
        else:
            await asyncio.gather(*(self._client.watch_trades(symbol) for symbol in symbols))

    async def _until_lost(self) -> None:
        """Wait for a future that nothing but the end of a socket resolves."""
        sockets = self._sockets()
        if not sockets or any(socket.closed() for socket in sockets):
            return
        waits = [socket.future("the end of this socket") for socket in sockets]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            if wait.done():
                wait.result()

    def _sockets(self) -> list[Any]:
        return list((self._client.clients or {}).values())

    def _drop(self, reason: str) -> None:
        """ccxt's own way with a broken socket: tell who waits for it, forget it, close it."""
        for socket in self._sockets():
            socket.on_error(ccxt.NetworkError(reason))
            self._client.clients.pop(socket.url, None)

    def _on_connected(self, socket: Any, message: Any = None) -> None:
        self._passed_on(socket, message)
        handle = socket.handle_message

        def guarded(frame: Any) -> None:
            if self._client.clients.get(socket.url) is not socket:
                # Given up while it was still connecting.
                task = asyncio.ensure_future(socket.aiohttp_close())
                task.add_done_callback(_nothing)
                return
            try:
                handle(frame)
            except Exception as error:
                self.garbage += 1
                self._happened(Unread(self._clock.now()))
                _log.debug("%s: a frame that cannot be read (%r)", self._client.id, error)
            else:
                self._heard(frame)

        socket.handle_message = guarded

    def _heard(self, frame: Any) -> None:
        now = self._clock.now()
        if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self.last_frame = now
            if not self._subscribed:
                # Nothing comes before the answer to the subscription.
                self._subscribed = True
                self._backoff.reset()
                self._happened(Subscribed(now))
        elif frame.type is WSMsgType.PING:
            self.last_frame = now
        elif frame.type is WSMsgType.PONG and len(frame.data) == _PING_BYTES:
            self.last_frame = now
            if self._subscribed:
                self._happened(Ponged(int.from_bytes(frame.data, "big")))

    def _arrived(self, market: str, trade: Mapping[str, Any]) -> None:
        self._happened(Arrived(market, trade, self._clock.now()))

    def _happened(self, event: Event) -> None:
        self._events.append(event)
        self._wake()


class _Sink(ArrayCache):  # type: ignore[misc]
    """In the place of ccxt's cache of a symbol's trades: hands each one on as it is parsed."""

    def __init__(self, hand_on: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(_KEPT)
        self._hand_on = hand_on

    def append(self, item: dict[str, Any]) -> None:
        super().append(item)
        self._hand_on(item)


def _nothing(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
