"""The gate in front of every request: it counts them and lets faults happen."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.local_exchange.clock import Clock
from tests.local_exchange.faults import (
    Close,
    CorruptZip,
    Drip,
    Fault,
    Garbage,
    Hang,
    Request,
    Script,
    Status,
    TruncatedBody,
    TruncatedZip,
    WrongChecksum,
)
from tests.local_exchange.rest import part_of, refusal


class Gate:
    """Asks the script about each request, and does what it says."""

    def __init__(self, clock: Clock, counts: Counter[str]) -> None:
        self._clock, self._counts = clock, counts
        self._script: Script = lambda request: None
        self._requests = 0
        self.closing = asyncio.Event()

    def follow(self, script: Script) -> None:
        """Ask this script about every request from now on."""
        self._script = script

    @web.middleware
    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """aiohttp's middleware."""
        part = part_of(request.path)
        asked = Request(self._requests, part, request.path, request.query, self._clock.now())
        self._requests += 1
        self._counts["requests"] += 1
        self._counts[f"{part} requests"] += 1
        fault = self._script(asked)
        if fault is None:
            return await handler(request)
        self._counts[fault.name] += 1
        if isinstance(fault, Status):
            return refusal(fault.code, fault.retry_after)
        if isinstance(fault, Close):
            return self._cut(request)
        if isinstance(fault, Hang):
            await self._hang(request, fault)
        if isinstance(fault, Garbage):
            return web.Response(text=fault.text, content_type="text/html")
        answer = await handler(request)
        if not isinstance(answer, web.Response):
            return answer
        if isinstance(fault, TruncatedBody | Drip):
            return await self._slowly(request, answer, fault)
        return _spoilt(answer, fault)

    async def _hang(self, request: web.Request, fault: Hang) -> None:
        """Wait until the time is over, the client gives up, or the exchange closes."""
        loop = asyncio.get_running_loop()
        end = None if fault.seconds is None else loop.time() + fault.seconds
        while not self.closing.is_set() and (end is None or loop.time() < end):
            if request.transport is None or request.transport.is_closing():
                return
            await asyncio.sleep(0.01)

    async def _slowly(
        self, request: web.Request, answer: web.Response, fault: TruncatedBody | Drip
    ) -> web.StreamResponse:
        body = answer.body if isinstance(answer.body, bytes) else b""
        out = web.StreamResponse(status=answer.status, headers=answer.headers)
        out.content_length = len(body)
        await out.prepare(request)
        try:
            if isinstance(fault, TruncatedBody):
                await out.write(body[: int(len(body) * fault.share)])
                return self._cut(request, flush=True)
            for at in range(0, len(body), fault.size):
                await out.write(body[at : at + fault.size])
                await asyncio.sleep(fault.pause)
            await out.write_eof()
        except ConnectionError:
            self._counts["client left"] += 1
        return out

    def _cut(self, request: web.Request, *, flush: bool = False) -> web.StreamResponse:
        transport = request.transport
        if isinstance(transport, asyncio.Transport):
            (transport.close if flush else transport.abort)()
        return web.Response()


def _spoilt(answer: web.Response, fault: Fault) -> web.Response:
    """The answer with its content changed; what has no content stays as it is."""
    body = answer.body
    if not isinstance(body, bytes) or not body:
        return answer
    if isinstance(fault, TruncatedZip):
        answer.body = body[: int(len(body) * fault.share)]
    elif isinstance(fault, CorruptZip):
        middle = len(body) // 2
        answer.body = body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
    elif isinstance(fault, WrongChecksum):
        answer.body = bytes([ord("0") if body[0] != ord("0") else ord("1")]) + body[1:]
    return answer
