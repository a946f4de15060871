"""A connection of the spot venue's websocket API, /ws-api/v3: requests, answers, private events.

https://developers.binance.com/docs/binance-spot-api-docs/websocket-api
Of its requests there are those that keep a connection and its private stream.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import WSMessage

from tests.local_exchange.answers import ExchangeError
from tests.local_exchange.connection import Connection, Listening
from tests.local_exchange.signing import Signatures
from tests.local_exchange.spot_events import stream_ended


class ApiConnection(Connection):
    """Sends what it is offered, and answers requests."""

    def __init__(self, *given: Any, signatures: Signatures, **named: Any) -> None:
        super().__init__(*given, **named)
        self._signatures = signatures
        self._subscribed = 0
        self._given_up: list[Listening] = []

    def _count_asked(self) -> bool:
        """Requests cost weight here, of which they have next to none."""
        return True

    def _hear(self, message: WSMessage) -> None:
        number: Any = None
        try:
            asked = json.loads(message.data)
            if not isinstance(asked, dict):
                raise ExchangeError(400, -1000, "a request is a JSON object")
            number = asked.get("id")
            answer: dict[str, Any] = {"status": 200, "result": self._result(asked)}
        except ValueError:
            answer = _refused(ExchangeError(400, -1000, "a request is a JSON object"))
        except ExchangeError as error:
            answer = _refused(error)
        self.say(json.dumps({"id": number, **answer, "rateLimits": []}, separators=(",", ":")))
        for held in self._given_up:
            self.say(held.wrapped(stream_ended(self._clock.now())))
        self._given_up.clear()

    def _result(self, asked: Mapping[str, Any]) -> Any:
        method, given = asked.get("method"), asked.get("params") or {}
        if method == "ping":
            return {}
        if method == "time":
            return {"serverTime": self._clock.now() // 1000}
        if method == "userDataStream.subscribe.signature":
            return self._subscribe(given)
        if method == "userDataStream.unsubscribe":
            return self._unsubscribe(given.get("subscriptionId"))
        if method == "session.subscriptions":
            return [{"subscriptionId": held.number} for held in self.private.values()]
        raise ExchangeError(400, -1000, f"Unknown method: {method}")

    def _subscribe(self, given: Mapping[str, Any]) -> Any:
        values = {name: str(value) for name, value in given.items()}
        payload = "&".join(f"{n}={v}" for n, v in sorted(values.items()) if n != "signature")
        account = self._signatures.check(
            values.get("apiKey"), payload, values, self._clock.now(), trades=False
        )
        if any(held.account == account.name for held in self.private.values()):
            raise ExchangeError(400, -2035, "User Data Stream subscription already active.")
        number, self._subscribed = self._subscribed, self._subscribed + 1
        self.private[str(number)] = Listening(str(number), "spot", account.name, number)
        return {"subscriptionId": number}

    def _unsubscribe(self, number: Any) -> Any:
        names = list(self.private) if number is None else [str(number)]
        if not names or not set(names) <= set(self.private):
            raise ExchangeError(400, -2036, "User Data Stream subscription not active.")
        for name in names:
            self._given_up.append(self.private.pop(name))
        return {}


def _refused(error: ExchangeError) -> dict[str, Any]:
    return {"status": error.status, "error": {"code": error.code, "msg": error.message}}
