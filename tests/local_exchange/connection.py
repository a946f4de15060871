"""One websocket connection: its subscriptions, its keep-alive, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from apex_trader.time import DAY
from tests.local_exchange.clock import Clock
from tests.local_exchange.faults import Fault
from tests.local_exchange.feed import Venue
from tests.local_exchange.frame_faults import (
    Disconnect,
    Duplicate,
    Frame,
    GarbageFrame,
    Goodbye,
    HalfClose,
    Late,
    Missing,
    Reorder,
)
from tests.local_exchange.streams import CATEGORIES, Stream, parse_stream

#: Streams one connection may have, and control messages it may send a second.
MOST_STREAMS = {"spot": 1024, "futures": 200}
MOST_MESSAGES = {"spot": 5, "futures": 10}
#: Real seconds in which a client must answer a closing handshake.
_ANSWER_WITHIN = 5.0


@dataclass(frozen=True)
class SocketConfig:
    """How connections are kept.

    ping_every, pong_within: real seconds between pings, and within which a pong must come, by
    venue. max_age: µs of exchange time after which a connection is closed (24 hours).
    backlog: frames that may wait for a slow client before ``patience`` real seconds end it.
    """

    ping_every: float = 20.0
    pong_within: float = 60.0
    max_age: int = DAY
    backlog: int = 5_000
    patience: float = 30.0


@dataclass(frozen=True)
class Listening:
    """An account's private stream on a connection: by a listen key, which is its name, or as a
    subscription of the websocket API, which has a number."""

    name: str
    venue: Venue
    account: str
    number: int | None = None

    def wrapped(self, message: Mapping[str, Any]) -> str:
        """A private message as this stream has it."""
        text = json.dumps(message, separators=(",", ":"))
        return text if self.number is None else f'{{"subscriptionId":{self.number},"event":{text}}}'


@dataclass(frozen=True, eq=False)
class _Held:
    """A message that waits for a time, or for a number of offered frames."""

    text: str
    until: int
    behind: int | None


class Connection:
    """Sends what it is offered, in order, until it ends.

    number: counted over all connections. category: "market", "public", … of the futures venue's
    address, or "". combined: messages are wrapped with their stream's name. micros: times are µs.
    keys: finds the private stream that a listen key names.
    """

    def __init__(
        self, number: int, venue: Venue, category: str, config: SocketConfig, clock: Clock,
        counts: Counter[str], *, combined: bool, micros: bool,
        keys: Callable[[str], Listening | None],
    ) -> None:  # fmt: skip
        self.number, self.venue, self.category = number, venue, category
        self.combined, self.micros = combined, micros
        self.streams: dict[Stream, None] = {}
        self.private: dict[str, Listening] = {}
        self.named: list[str] = []
        self.offered = 0
        self.open = True
        self.silent = False
        self._config, self._clock, self._counts, self._keys = config, clock, counts, keys
        self._queue: asyncio.Queue[str | Fault] = asyncio.Queue()
        self._busy = 0
        self._held: list[_Held] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: deque[float] = deque()
        self._ponged = time.monotonic()
        self._ws = web.WebSocketResponse(autoping=False, autoclose=False, compress=False)
        self._transport: asyncio.Transport | None = None

    # -- subscriptions ------------------------------------------------------------------------

    def subscribe(self, name: str) -> None:
        """Take up a stream; unknown ones are acknowledged and stay quiet, as on the exchange."""
        if name not in self.named:
            self.named.append(name)
        stream = parse_stream(name)
        if stream is None:
            self._listen(name)
            return
        if self.category in ("", CATEGORIES[stream.event]):
            self.streams[stream] = None

    def _listen(self, key: str) -> None:
        """Take up the private stream that a listen key names, if it does."""
        found = self._keys(key)
        if found is None or self.category not in ("", "private"):
            return
        if not self.category or found.venue == self.venue:
            self.private[key] = found

    def unsubscribe(self, name: str) -> None:
        """Leave a stream."""
        self.named = [kept for kept in self.named if kept != name]
        self.private.pop(name, None)
        stream = parse_stream(name)
        if stream is not None:
            self.streams.pop(stream, None)

    # -- what is sent -------------------------------------------------------------------------

    def offer(self, frame: Frame, text: str, fault: Fault | None, name: str) -> None:
        """Send a message of the stream of that name, unless the fault says otherwise."""
        self.offered += 1
        if self.combined:
            text = f'{{"stream":"{name}","data":{text}}}'
        self._release(frame.time, self.offered - 1)
        if fault is not None:
            self._counts[fault.name] += 1
        if isinstance(fault, Disconnect | Goodbye | HalfClose):
            self.end(fault)
        elif isinstance(fault, Late):
            self._hold(_Held(text, frame.time + fault.by, None))
        elif isinstance(fault, Reorder):
            self._hold(_Held(text, frame.time + fault.within, self.offered + fault.behind))
        elif not isinstance(fault, Missing):
            self._send(text, fault)
        self._release(frame.time, self.offered)

    def end(self, how: Fault) -> None:
        """Cut, close or silence the connection after what waits to be sent."""
        if self.open:
            self.open = False
            self._queue.put_nowait(how)

    def say(self, text: str) -> None:
        """Send any text."""
        if self.open:
            self._queue.put_nowait(text)

    @property
    def waiting(self) -> int:
        """Messages that have not been sent yet."""
        return self._queue.qsize() + self._busy

    def _send(self, text: str, fault: Fault | None) -> None:
        if isinstance(fault, GarbageFrame):
            self.say(fault.text)
        for _ in range(1 + (fault.times if isinstance(fault, Duplicate) else 0)):
            self.say(text)

    def _hold(self, held: _Held) -> None:
        self._held.append(held)

        async def release() -> None:
            await self._clock.until(held.until)
            self._release(held.until, self.offered)

        # Other frames push it out in their order; where none come, the clock does.
        self._start(release())

    def _release(self, now: int, offered: int) -> None:
        """Send what was held back until now, or until so many frames were offered."""
        for held in list(self._held):
            if held.until <= now or (held.behind is not None and offered >= held.behind):
                self._held.remove(held)
                self.say(held.text)

    # -- its life -----------------------------------------------------------------------------

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Serve the connection until either side ends it."""
        await self._ws.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        self._transport = request.transport
        for task in (self._write(), self._keep_alive(), self._expire()):
            self._start(task)
        try:
            await self._read()
        finally:
            self.open = False
            for running in list(self._tasks):
                running.cancel()
        return self._ws

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        while True:
            message = await self._ws.receive()
            if self.silent:
                if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
                    # A dead peer would not answer: the client has to give up by itself.
                    await self._gone()
                    return
                continue
            if message.type is WSMsgType.TEXT:
                self._hear(message)
            elif message.type is WSMsgType.PING:
                self._count_asked()
                with contextlib.suppress(ConnectionError):
                    await self._ws.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._ponged = time.monotonic()
            elif message.type is not WSMsgType.BINARY:
                with contextlib.suppress(ConnectionError):
                    await self._ws.close()
                return

    async def _write(self) -> None:
        while True:
            item = await self._queue.get()
            self._busy = 1
            try:
                if isinstance(item, str):
                    await self._ws.send_str(item)
                    self._counts["frames"] += 1
                elif isinstance(item, HalfClose):
                    self.silent = True
                    return
                elif isinstance(item, Goodbye):
                    # aiohttp's own close would not wait for the client's answer while reading.
                    await self._ws.send_frame(item.code.to_bytes(2, "big"), WSMsgType.CLOSE)
                    await asyncio.sleep(_ANSWER_WITHIN)
                    self._abort()
                    return
                else:
                    self._abort()
                    return
            except ConnectionError:
                self.open = False
                return
            finally:
                self._busy = 0

    async def _keep_alive(self) -> None:
        while self.open:
            await asyncio.sleep(self._config.ping_every)
            if time.monotonic() - self._ponged > self._config.pong_within + self._config.ping_every:
                self._counts["no pong"] += 1
                self.end(Goodbye(1008))
            elif self.open:
                with contextlib.suppress(ConnectionError):
                    await self._ws.ping(str(int(time.time() * 1000)).encode())

    async def _expire(self) -> None:
        await self._clock.until(self._clock.now() + self._config.max_age)
        self._counts["expired"] += 1
        self.end(Goodbye(1001))

    async def _gone(self) -> None:
        while self._transport is not None and not self._transport.is_closing():
            await asyncio.sleep(0.02)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- what is heard ------------------------------------------------------------------------

    def _hear(self, message: WSMessage) -> None:
        if not self._count_asked():
            return
        try:
            asked = json.loads(message.data)
            answer = self._answer(asked) if isinstance(asked, dict) else None
        except ValueError:
            answer = None
        if answer is None:
            answer = {"error": {"code": 3, "msg": "Invalid JSON: expected an object"}}
        self.say(json.dumps(answer, separators=(",", ":")))

    def _count_asked(self) -> bool:
        """False when the client asks more often than it may: the connection then ends."""
        now = time.monotonic()
        self._asked.append(now)
        while self._asked and self._asked[0] <= now - 1:
            self._asked.popleft()
        if len(self._asked) <= MOST_MESSAGES[self.venue]:
            return True
        self._counts["too many messages"] += 1
        self.end(Goodbye(1008))
        return False

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        method, names, number = asked.get("method"), asked.get("params", []), asked.get("id")
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": self.named, "id": number}
        if not isinstance(names, list) or not names:
            return _invalid("params must be a list with at least one item", number)
        if method in ("SET_PROPERTY", "GET_PROPERTY") and names[0] == "combined":
            return {"result": self._property(names), "id": number}
        if not all(isinstance(name, str) for name in names):
            return _invalid("each item of params must be a stream name", number)
        if method == "SUBSCRIBE":
            if len({*self.named, *names}) > MOST_STREAMS[self.venue]:
                return _invalid("too many streams", number)
            for name in names:
                self.subscribe(name)
            return {"result": None, "id": number}
        if method == "UNSUBSCRIBE":
            for name in names:
                self.unsubscribe(name)
            return {"result": None, "id": number}
        return _invalid(f"unknown method {method!r}", number)

    def _property(self, names: list[Any]) -> bool | None:
        if len(names) == 1:
            return self.combined
        self.combined = bool(names[1])
        return None


def _invalid(reason: str, number: Any) -> dict[str, Any]:
    return {"error": {"code": 2, "msg": f"Invalid request: {reason}"}, "id": number}
