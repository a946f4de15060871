"""Answering requests: REST endpoints with their weights, and the archive's files with ranges."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any

from aiohttp import web

from apex_trader.time import SECOND
from tests.local_exchange import futures, spot, wallet
from tests.local_exchange.answers import ExchangeError, Query
from tests.local_exchange.archive import Archive
from tests.local_exchange.endpoints import Endpoint, Exchange
from tests.local_exchange.limits import Limiter, Verdict

Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]
#: The part of the exchange that a path belongs to; everything else is a socket's.
_PARTS = {"/api/": "spot", "/fapi/": "futures", "/dapi/": "futures", "/sapi/": "wallet",
          "/data/": "archive"}  # fmt: skip
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def part_of(path: str) -> str:
    """Which part of the exchange answers a path."""
    return next((part for start, part in _PARTS.items() if path.startswith(start)), "socket")


class Rest:
    """The REST API. Endpoints of further parts (orders, accounts) join ``endpoints``."""

    def __init__(self, exchange: Exchange, counts: Counter[str]) -> None:
        self._exchange, self._counts = exchange, counts
        self.limiters = {
            name: Limiter(exchange.limits, name) for name in ("spot", "futures", "wallet")
        }
        self.endpoints: list[Endpoint] = [
            *spot.ENDPOINTS, *futures.ENDPOINTS, *wallet.ENDPOINTS,
        ]  # fmt: skip

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint as a route."""
        return [web.get(endpoint.path, self._handler(endpoint)) for endpoint in self.endpoints]

    def _handler(self, endpoint: Endpoint) -> Handler:
        limiter = self.limiters[part_of(endpoint.path)]

        async def handle(request: web.Request) -> web.StreamResponse:
            unit = request.headers.get("X-MBX-TIME-UNIT", "")
            query = Query(request.query, micros=unit.upper() == "MICROSECOND")
            verdict = limiter.charge(endpoint.weight(query))
            if verdict.status != 200:
                self._counts[f"limit {verdict.status}"] += 1
                return _refused(verdict)
            try:
                if endpoint.needs_key and not request.headers.get("X-MBX-APIKEY"):
                    raise ExchangeError(401, -2014, "API-key format invalid.")
                answer, status = endpoint.answer(self._exchange, query), 200
            except ExchangeError as error:
                answer, status = {"code": error.code, "msg": error.message}, error.status
            return _json(answer, status, verdict.used)

        return handle


def refusal(status: int, retry_after: int | None) -> web.Response:
    """An answer that refuses or fails, worded as the exchange does."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if status in (418, 429):
        message = (
            "Way too much request weight used; IP banned until later."
            if status == 418
            else "Too much request weight used; please use WebSocket Streams for live updates."
        )
        return _json({"code": -1003, "msg": message}, status, headers=headers)
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


def _json(
    answer: Any, status: int, used: int | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    given = dict(headers or {})
    if used is not None:
        given |= {"x-mbx-used-weight": str(used), "x-mbx-used-weight-1m": str(used)}
    body = json.dumps(answer, separators=(",", ":")).encode()
    return web.Response(
        body=body, status=status, headers=given, content_type="application/json", charset="utf-8"
    )
