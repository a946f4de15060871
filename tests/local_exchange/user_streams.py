"""Private streams: what happens to an account is told to those who listen to it, as it happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from tests.local_exchange import futures_events, spot_events
from tests.local_exchange.connection import Connection, Listening
from tests.local_exchange.endpoints import Exchange
from tests.local_exchange.feed import Venue
from tests.local_exchange.sockets import Sockets
from tests.local_exchange.trading.events import BalanceEvent, Event, OrderEvent


class UserStreams:
    """Hears the engine, and tells each account what is its own.

    ``run`` moves the engine on by the clock, so that fills are told of without anybody asking.
    """

    def __init__(self, exchange: Exchange, sockets: Sockets) -> None:
        self._exchange, self._sockets = exchange, sockets
        self._changed = asyncio.Event()
        exchange.engine.listeners.append(self._hear)
        exchange.keys.listeners.append(self._changed.set)

    async def run(self) -> None:
        """Let everything happen when its time comes."""
        clock = self._exchange.clock
        while True:
            self.move()
            # What was told of by the move itself is behind us.
            self._changed.clear()
            times = (self._exchange.engine.next_time, self._exchange.keys.next_end)
            due = min((time for time in times if time is not None), default=None)
            waits: list[asyncio.Task[Any]] = [asyncio.create_task(self._changed.wait())]
            if due is not None:
                waits.append(asyncio.create_task(clock.until(due)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await wait

    def move(self) -> None:
        """Let everything happen that is due by now."""
        now = self._exchange.now()
        self._exchange.engine.advance(now)
        for key in self._exchange.keys.take_expired(now):
            message = futures_events.listen_key_expired(key.text, now)
            for connection in self._sockets.connections:
                heard = connection.private.get(key.text)
                if heard is not None:
                    self._tell(connection, heard, message, 0)
                    del connection.private[key.text]

    def _hear(self, event: Event) -> None:
        self._changed.set()
        venue, account = _owner(event)
        listeners = [
            (connection, listening) for connection in self._sockets.connections
            for listening in connection.private.values()
            if (listening.venue, listening.account) == (venue, account)
        ]  # fmt: skip
        if not listeners:
            return
        number = event.order.id if isinstance(event, OrderEvent) else 0
        for message in self._messages(venue, event):
            for connection, listening in listeners:
                self._tell(connection, listening, message, number)

    def _messages(self, venue: Venue, event: Event) -> Sequence[dict[str, Any]]:
        make = spot_events.messages if venue == "spot" else futures_events.messages
        return make(self._exchange.engine, event)

    def _tell(
        self, connection: Connection, listening: Listening, message: dict[str, Any], number: int
    ) -> None:
        stream, time = f"user@{message['e']}", self._exchange.engine.time
        text = listening.wrapped(message)
        self._sockets.offer(connection, stream, number, time, text, name=listening.name)


def _owner(event: Event) -> tuple[Venue, str]:
    if isinstance(event, OrderEvent):
        return event.order.listing.venue, event.order.account
    if isinstance(event, BalanceEvent):
        return event.venue, event.account
    return "futures", event.account
