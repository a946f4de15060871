"""Answering requests: REST endpoints with their weights, and the archive's files with ranges."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from apex_trader.time import SECOND
from tests.local_exchange import (
    futures,
    futures_account,
    futures_orders,
    listen_key_requests,
    spot,
    spot_orders,
    wallet,
)
from tests.local_exchange.answers import ExchangeError, Query
from tests.local_exchange.archive import Archive
from tests.local_exchange.endpoints import Endpoint, Exchange
from tests.local_exchange.feed import Venue
from tests.local_exchange.limits import Limiter, OrderLimiter, OrderVerdict, Verdict
from tests.local_exchange.truth import Arrival, Truth

Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]
#: The part of the exchange that a path belongs to; everything else is a socket's.
_PARTS = {"/api/": "spot", "/fapi/": "futures", "/dapi/": "futures", "/sapi/": "wallet",
          "/data/": "archive"}  # fmt: skip
#: Under which a request carries the name of the fault that it meets.
FAULT: web.RequestKey[str] = web.RequestKey("fault", str)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def part_of(path: str) -> str:
    """Which part of the exchange answers a path."""
    return next((part for start, part in _PARTS.items() if path.startswith(start)), "socket")


class Rest:
    """The REST API."""

    def __init__(self, exchange: Exchange, truth: Truth, counts: Counter[str]) -> None:
        self._exchange, self._truth, self._counts = exchange, truth, counts
        self.limiters = {
            name: Limiter(exchange.limits, name) for name in ("spot", "futures", "wallet")
        }
        self._orders: dict[tuple[str, str], OrderLimiter] = {}
        self.endpoints: list[Endpoint] = [
            *spot.ENDPOINTS, *futures.ENDPOINTS, *wallet.ENDPOINTS, *spot_orders.ENDPOINTS,
            *futures_orders.ENDPOINTS, *futures_account.ENDPOINTS, *listen_key_requests.ENDPOINTS,
        ]  # fmt: skip

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint as a route."""
        return [
            web.route(endpoint.method, endpoint.path, self._handler(endpoint))
            for endpoint in self.endpoints
        ]

    def _handler(self, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            values = await parameters(request)
            arrival = None
            if endpoint.order:
                arrival = self._truth.arrived(
                    self._exchange.now(), endpoint.method, endpoint.path, values,
                    request.get(FAULT, ""),
                )  # fmt: skip
            answer = await self._answer(endpoint, request, values, arrival)
            if arrival is not None:
                arrival.status = answer.status
            return answer

        return handle

    async def _answer(
        self, endpoint: Endpoint, request: web.Request, values: dict[str, str],
        arrival: Arrival | None,
    ) -> web.Response:  # fmt: skip
        unit = request.headers.get("X-MBX-TIME-UNIT", "")
        query = Query(values, micros=unit.upper() == "MICROSECOND")
        verdict = self.limiters[part_of(endpoint.path)].charge(endpoint.weight(query))
        if verdict.status != 200:
            self._counts[f"limit {verdict.status}"] += 1
            return _refused(verdict)
        headers: dict[str, str] = {}
        status = 200
        try:
            caller = self._caller(endpoint, request, values, await request.text())
            if arrival is not None:
                arrival.account = caller
            if endpoint.order == "new":
                headers = self._count_order(endpoint, caller)
            if caller:
                self._exchange.engine.advance(self._exchange.now())
            answer = endpoint.answer(self._exchange, Query(values, query.micros, caller))
            if inspect.isawaitable(answer):
                answer = await answer
            if arrival is not None and isinstance(answer, dict):
                arrival.order = answer.get("orderId")
        except ExchangeError as error:
            answer, status = {"code": error.code, "msg": error.message}, error.status
            if arrival is not None:
                arrival.code = error.code
            if isinstance(error, TooManyOrders):
                headers = {"Retry-After": str(error.retry_after)}
        return json_answer(answer, status, verdict.used, headers)

    def _caller(
        self, endpoint: Endpoint, request: web.Request, values: dict[str, str], body: str
    ) -> str:
        """Name of the account that asks, "" where anybody may."""
        key, signatures = request.headers.get("X-MBX-APIKEY"), self._exchange.signatures
        if endpoint.needs_key and not signatures.any:
            if not key:
                raise ExchangeError(401, -2014, "API-key format invalid.")
            return ""
        if endpoint.key_only:
            return signatures.account(key).name
        if not endpoint.signed and not endpoint.needs_key:
            return ""
        payload = request.raw_path.partition("?")[2] + body
        account = signatures.check(
            key, payload, values, self._exchange.now(), trades=bool(endpoint.order)
        )
        return account.name

    def _count_order(self, endpoint: Endpoint, caller: str) -> dict[str, str]:
        """Headers with the number of new orders; TooManyOrders where there are too many."""
        venue: Venue = "futures" if part_of(endpoint.path) == "futures" else "spot"
        limits = self._exchange.trading.order_limits[venue]
        limiter = self._orders.setdefault((caller, venue), OrderLimiter(limits))
        verdict = limiter.charge()
        if verdict.refused:
            self._counts["limit orders"] += 1
            most = next(most for name, _, most in limits if name == verdict.refused)
            raise TooManyOrders(verdict, most)
        return {f"X-MBX-ORDER-COUNT-{name}": str(n) for name, n in verdict.counts.items()}


class TooManyOrders(ExchangeError):
    """More new orders than an account may send."""

    def __init__(self, verdict: OrderVerdict, most: int) -> None:
        self.retry_after = verdict.retry_after
        super().__init__(
            429, -1015, f"Too many new orders; current limit is {most} orders per "
            f"{verdict.refused}.",
        )  # fmt: skip


async def parameters(request: web.Request) -> dict[str, str]:
    """What a request says, in its query and in its body."""
    body = "" if request.method == "GET" else await request.text()
    return {**request.query, **dict(parse_qsl(body, keep_blank_values=True))}


def refusal(status: int, retry_after: int | None) -> web.Response:
    """An answer that refuses or fails, worded as the exchange does."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if status in (418, 429):
        message = (
            "Way too much request weight used; IP banned until later."
            if status == 418
            else "Too much request weight used; please use WebSocket Streams for live updates."
        )
        return json_answer({"code": -1003, "msg": message}, status, headers=headers)
    if status == 404:
        return web.Response(status=404, text="<html><h2>404 Not found</h2></html>")
    # A gateway's error is no JSON.
    text = f"<html><head><title>{status}</title></head></html>"
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def archive_handler(archive: Archive) -> Handler:
    """Serves the archive's files as S3 does: whole, in ranges, or not at all."""

    async def handle(request: web.Request) -> web.StreamResponse:
        content = await asyncio.to_thread(archive.read, request.path)
        if content is None:
            key = request.path.lstrip("/")
            text = (
                f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
                f"<Message>The specified key does not exist.</Message><Key>{key}</Key></Error>"
            )
            return web.Response(status=404, text=text, content_type="application/xml")
        return _file(request, content, archive.modified(request.path))

    return handle


def _file(request: web.Request, content: bytes, modified: int) -> web.Response:
    tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    headers = {
        "ETag": tag, "Accept-Ranges": "bytes", "Last-Modified": formatdate(
            modified // SECOND, usegmt=True),
        "Content-Type": "application/zip" if request.path.endswith(".zip") else "text/plain",
    }  # fmt: skip
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or asked[0] == "bytes=-" or request.headers.get("If-Range", tag) != tag:
        return web.Response(body=content, headers=headers)
    size = len(content)
    first = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
    last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
    if first >= size or last < first:
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return web.Response(status=206, body=content[first : last + 1], headers=headers)


def _refused(verdict: Verdict) -> web.Response:
    answer = refusal(verdict.status, verdict.retry_after)
    answer.headers["x-mbx-used-weight-1m"] = str(verdict.used)
    return answer


def json_answer(
    answer: Any, status: int, used: int | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    given = dict(headers or {})
    if used is not None:
        given |= {"x-mbx-used-weight": str(used), "x-mbx-used-weight-1m": str(used)}
    body = json.dumps(answer, separators=(",", ":")).encode()
    return web.Response(
        body=body, status=status, headers=given, content_type="application/json", charset="utf-8"
    )
