"""Orders to the exchange itself, for whoever runs it by hand or in another process.

    POST /local/faults   [{"fault": "LostAnswer", "where": "POST /fapi/v1/order", "times": 1}]
    POST /local/sockets  {"how": "Disconnect", "venue": "futures"}
    POST /local/clock    {"advance": 60} or {"speed": 5}
    GET  /local/truth    every request, order and fill, and each account's balances and positions

A rule is the name of a fault, its fields, and those of ``On`` (requests) or ``OnFrame`` (messages
on sockets); a list replaces the rules before, and [] ends them all. No fault meets these paths.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aiohttp import web

from apex_trader.errors import ApexError
from tests.local_exchange import faults, frame_faults
from tests.local_exchange.faults import Fault, On
from tests.local_exchange.frame_faults import OnFrame
from tests.local_exchange.trading.orders import Order

if TYPE_CHECKING:
    from tests.local_exchange.server import LocalExchange

#: Where these paths begin.
START = "/local/"
_REQUESTS = (
    faults.Status, faults.Hang, faults.Close, faults.LostAnswer, faults.LateAnswer, faults.Refuse,
    faults.Unknown, faults.Garbage, faults.TruncatedBody, faults.Drip, faults.TruncatedZip,
    faults.CorruptZip, faults.WrongChecksum,
)  # fmt: skip
_FRAMES = (
    frame_faults.Disconnect, frame_faults.Goodbye, frame_faults.HalfClose,
    frame_faults.GarbageFrame, frame_faults.Duplicate, frame_faults.Reorder, frame_faults.Late,
    frame_faults.Missing,
)  # fmt: skip
#: Every fault by its name.
FAULTS: dict[str, type[Fault]] = {kind.__name__: kind for kind in (*_REQUESTS, *_FRAMES)}
#: Fields of rules that a client may give.
_RULE = ("where", "skip", "times", "every", "start", "end")


def rule(given: object) -> On | OnFrame:
    """The rule that a JSON object describes; ApexError says what is wrong with it."""
    if not isinstance(given, Mapping) or given.get("fault") not in FAULTS:
        raise ApexError(
            f'a rule is an object like {{"fault": "Close"}}, of {", ".join(FAULTS)}; not {given!r}'
        )
    kind = FAULTS[given["fault"]]
    form: type[On] | type[OnFrame] = On if kind in _REQUESTS else OnFrame
    own = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    of_rule = {field.name for field in dataclasses.fields(form)} & set(_RULE)
    wrong = set(given) - own - of_rule - {"fault"}
    if wrong:
        allowed = ", ".join(sorted(own | of_rule))
        raise ApexError(f"{kind.__name__} has no {', '.join(sorted(wrong))}; it has {allowed}")
    try:
        fault = kind(**{name: value for name, value in given.items() if name in own})
    except TypeError as error:
        raise ApexError(f"{kind.__name__}: {error}") from error
    return form(fault, **{name: value for name, value in given.items() if name in of_rule})


def truth(exchange: LocalExchange) -> dict[str, Any]:
    """All that the exchange knows, as JSON; numbers are text."""
    known = exchange.truth
    return {
        "arrivals": [dataclasses.asdict(arrival) for arrival in known.arrivals],
        "orders": [_order(order) for order in known.orders],
        "fills": [_plain(dataclasses.asdict(fill)) for fill in known.fills],
        "accounts": {
            name: {
                "spot": _plain(known.balances(name, "spot")),
                "futures": _plain(known.balances(name, "futures")),
                "positions": {
                    market: _plain(dataclasses.asdict(position))
                    for market, position in known.positions(name).items()
                },
            }
            for name in exchange.accounts
        },
    }


class Control:
    """Answers these paths."""

    def __init__(self, exchange: LocalExchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        """Each of them."""
        return [
            web.post(START + "faults", self._answer(self._follow)),
            web.post(START + "sockets", self._answer(self._end)),
            web.post(START + "clock", self._answer(self._move)),
            web.get(START + "truth", self._answer(lambda given: truth(self._exchange))),
        ]

    def _answer(
        self, work: Callable[[Any], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                given = json.loads(await request.text() or "{}")
                return web.json_response(work(given))
            except (ApexError, ValueError, TypeError) as error:
                return web.json_response({"error": str(error)}, status=400)

        return handle

    def _follow(self, given: Any) -> Any:
        if not isinstance(given, list):
            raise ApexError("rules are a list")
        rules = [rule(one) for one in given]
        self._exchange.follow_rules(rules)
        return {"rules": len(rules)}

    def _end(self, given: Any) -> Any:
        ways = {
            "Disconnect": self._exchange.disconnect, "Goodbye": self._exchange.goodbye,
            "HalfClose": self._exchange.half_close,
        }  # fmt: skip
        how, venue = given.get("how"), given.get("venue")
        if how not in ways or venue not in (None, "spot", "futures"):
            raise ApexError(f"how: one of {', '.join(ways)}; venue: spot, futures, or neither")
        return {"ended": ways[how](venue)}

    def _move(self, given: Any) -> Any:
        clock = self._exchange.clock
        if "speed" in given:
            clock.set_speed(float(given["speed"]))
        seconds = float(given.get("advance", 0))
        if seconds < 0:
            raise ApexError("advance: seconds, 0 or more")
        return {"now": clock.advance(int(seconds * 1e6)) // 1000}


def _order(order: Order) -> dict[str, Any]:
    return _plain({
        "id": order.id, "account": order.account, "market": order.market,
        "client_id": order.asked.client_id, "side": order.asked.side, "type": order.asked.type,
        "time_in_force": order.asked.time_in_force, "price": order.asked.price,
        "quantity": order.quantity, "reduce_only": order.asked.reduce_only,
        "status": order.status, "filled": order.filled, "average": order.average,
        "time": order.arrived, "updated": order.updated,
    })  # fmt: skip


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(v) if isinstance(v, Decimal) else v for name, v in values.items()}
