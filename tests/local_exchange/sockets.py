"""The websockets: who is connected, and the publisher that sends trades as they become known."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

import numpy as np
from aiohttp import web

from apex_trader.market.types import I64
from tests.local_exchange.api_connection import ApiConnection
from tests.local_exchange.connection import Connection, Listening, SocketConfig
from tests.local_exchange.endpoints import Exchange
from tests.local_exchange.faults import Fault
from tests.local_exchange.feed import Listing, Venue
from tests.local_exchange.frame_faults import Frame, FrameScript, Goodbye
from tests.local_exchange.streams import CATEGORIES, Stream, messages

#: /ws and /stream are spot's, as is /stream/… (ccxt knows spot addresses by "/stream"); the
#: futures venue's begin with /fstream, or with a category.
_PATH = re.compile(
    r"(?:/(?P<host>stream|fstream))?(?:/(?P<category>public|market|private))?"
    r"/(?P<kind>ws|stream)(?:/(?P<names>.*))?"
)
#: Of the spot venue's websocket API.
API_PATH = "/ws-api/v3"
#: Trades that are published before others get their turn.
_CHUNK = 500


class Sockets:
    """All connections of the exchange."""

    def __init__(self, exchange: Exchange, config: SocketConfig, counts: Counter[str]) -> None:
        self._exchange, self._config, self._counts = exchange, config, counts
        self._feed, self._clock = exchange.feed, exchange.clock
        self._listings = self._feed.all()
        self._script: FrameScript = lambda frame: None
        self._connections: list[Connection] = []
        self._opened = self._frames = 0
        self._times, self._owners, self._rows = _merged(self._listings)
        self._at = int(np.searchsorted(self._times, self._clock.now(), side="right"))

    @property
    def connections(self) -> list[Connection]:
        """The open ones, oldest first."""
        return [connection for connection in self._connections if connection.open]

    def follow(self, script: FrameScript) -> None:
        """Ask this script about every frame from now on."""
        self._script = script

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A client opens a connection."""
        if not web.WebSocketResponse().can_prepare(request).ok:
            return not_found()
        if request.path == API_PATH:
            connection = self._api_connection()
        elif match := _PATH.fullmatch(request.path):
            connection = self._connection(request, match)
        else:
            return not_found()
        self._opened += 1
        self._counts["connections"] += 1
        self._connections.append(connection)
        try:
            return await connection.run(request)
        finally:
            self._connections.remove(connection)

    def _api_connection(self) -> Connection:
        return ApiConnection(
            self._opened, "spot", "", self._config, self._clock, self._counts, combined=False,
            micros=False, keys=self._private, signatures=self._exchange.signatures,
        )  # fmt: skip

    def _connection(self, request: web.Request, match: re.Match[str]) -> Connection:
        venue: Venue = "futures" if match["host"] == "fstream" or match["category"] else "spot"
        connection = Connection(
            self._opened, venue, match["category"] or "", self._config, self._clock, self._counts,
            combined=match["kind"] == "stream",
            micros=request.query.get("timeUnit", "").upper() == "MICROSECOND", keys=self._private,
        )  # fmt: skip
        names = request.query.get("streams", "") if connection.combined else match["names"] or ""
        for name in filter(None, [*names.split("/"), request.query.get("listenKey")]):
            connection.subscribe(name)
        return connection

    def _private(self, key: str) -> Listening | None:
        """The private stream that a listen key names."""
        found = self._exchange.keys.named(key, self._clock.now())
        return None if found is None else Listening(key, found.venue, found.account)

    def end(self, how: Fault, venue: Venue | None = None) -> int:
        """End the open connections (of one venue) in this way; how many there were."""
        ended = [c for c in self.connections if venue in (None, c.venue)]
        for connection in ended:
            self._counts[how.name] += 1
            connection.end(how)
        return len(ended)

    # -- publishing ---------------------------------------------------------------------------

    async def publish(self) -> None:
        """Send every trade when it becomes known, in that order over all markets."""
        while self._at < len(self._times):
            await self._clock.until(int(self._times[self._at]))
            due = int(np.searchsorted(self._times, self._clock.now(), side="right"))
            while self._at < due:
                stop = min(due, self._at + _CHUNK)
                self._publish(self._at, stop)
                self._at = stop
                await self._drain()

    @property
    def settled(self) -> bool:
        """Everything known by now has been sent to everyone."""
        due = int(np.searchsorted(self._times, self._clock.now(), side="right"))
        return self._at >= due and not any(c.waiting for c in self.connections)

    def _publish(self, start: int, stop: int) -> None:
        """Offer the trades [start, stop) of the merged order to those who want them."""
        wanted = {stream for c in self.connections for stream in c.streams}
        if not wanted:
            return
        owners, rows = self._owners[start:stop], self._rows[start:stop]
        # Messages by place in the merged order: each connection gets all its streams in that order.
        texts: dict[tuple[Venue, Stream, bool], dict[int, str]] = {}
        for connection in self.connections:
            for stream in connection.streams:
                key = (connection.venue, stream, connection.micros)
                if key not in texts:
                    texts[key] = self._texts(*key, owners, rows, start)
        for place in range(start, stop):
            listing = self._listings[int(self._owners[place])]
            for event in CATEGORIES:
                self._offer(place, listing, Stream(listing.symbol, event), texts)

    def _offer(
        self, place: int, listing: Listing, stream: Stream,
        texts: dict[tuple[Venue, Stream, bool], dict[int, str]],
    ) -> None:  # fmt: skip
        for connection in self.connections:
            if connection.venue != listing.venue or stream not in connection.streams:
                continue
            text = texts[connection.venue, stream, connection.micros][place]
            number, time = int(listing.ids[self._rows[place]]), int(self._times[place])
            self.offer(connection, stream.name, number, time, text)

    def offer(
        self, connection: Connection, stream: str, number: int, time: int, text: str,
        *, name: str | None = None,
    ) -> None:  # fmt: skip
        """Send a connection a message, unless the script says otherwise.

        stream, number, time: as its frame tells the script. name: of its stream in combined
        messages, where that is another.
        """
        if connection.open:
            frame = Frame(self._frames, connection.number, connection.offered, stream, number, time)
            self._frames += 1
            connection.offer(frame, text, self._script(frame), name or stream)

    def _texts(
        self, venue: Venue, stream: Stream, micros: bool, owners: I64, rows: I64, start: int
    ) -> dict[int, str]:
        listing = self._feed.find(venue, stream.symbol)
        if listing is None:
            return {}
        mine = np.flatnonzero(owners == self._listings.index(listing))
        made = messages(listing, rows[mine], stream.event, self._times[start + mine], micros=micros)
        return dict(zip((start + mine).tolist(), made, strict=True))

    async def _drain(self) -> None:
        """Let the writers write; a client that does not keep up is put out."""
        began = time.monotonic()
        await asyncio.sleep(0)
        while True:
            slow = [c for c in self.connections if c.waiting > self._config.backlog]
            if not slow:
                return
            if time.monotonic() - began > self._config.patience:
                for connection in slow:
                    self._counts["slow client"] += 1
                    connection.end(Goodbye(1008))
                return
            await asyncio.sleep(0.001)


def not_found() -> web.Response:
    """Nothing is there."""
    return web.Response(status=404, text="<html><h2>404 Not found</h2></html>")


def _merged(listings: list[Listing]) -> tuple[I64, I64, I64]:
    """(times, listing numbers, rows) of all trades in the order in which they become known."""
    if not listings:
        none = np.empty(0, np.int64)
        return none, none, none
    times = np.concatenate([listing.known[listing.order] for listing in listings])
    owners = np.repeat(np.arange(len(listings)), [len(listing.trades) for listing in listings])
    rows = np.concatenate([listing.order for listing in listings])
    order = np.argsort(times, kind="stable")
    return times[order], owners[order].astype(np.int64), rows[order]
