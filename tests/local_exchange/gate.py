"""The gate in front of every request: it counts them and lets faults happen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.local_exchange.clock import Clock
from tests.local_exchange.control import START
from tests.local_exchange.faults import (
    Close,
    CorruptZip,
    Drip,
    Fault,
    Garbage,
    Hang,
    LateAnswer,
    LostAnswer,
    Refuse,
    Request,
    Script,
    Status,
    TruncatedBody,
    TruncatedZip,
    Unknown,
    WrongChecksum,
)
from tests.local_exchange.rest import FAULT, json_answer, parameters, part_of, refusal


class Gate:
    """Asks the script about each request, and does what it says.

    lost: told of every request that a fault keeps from the exchange, with the status that the
    client got, if any.
    """

    def __init__(
        self, clock: Clock, counts: Counter[str],
        lost: Callable[[Request, Fault, int | None], None] = lambda request, fault, status: None,
    ) -> None:  # fmt: skip
        self._clock, self._counts, self._lost = clock, counts, lost
        self._script: Script = lambda request: None
        self._requests = 0
        self.closing = asyncio.Event()

    def follow(self, script: Script) -> None:
        """Ask this script about every request from now on."""
        self._script = script

    @web.middleware
    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """aiohttp's middleware."""
        if request.path.startswith(START):
            return await handler(request)
        part = part_of(request.path)
        asked = Request(
            self._requests, part, request.path, await parameters(request), self._clock.now(),
            request.method,
        )  # fmt: skip
        self._requests += 1
        self._counts["requests"] += 1
        self._counts[f"{part} requests"] += 1
        fault = self._script(asked)
        if fault is None:
            return await handler(request)
        self._counts[fault.name] += 1
        request[FAULT] = fault.name
        kept = await self._kept_from_exchange(request, asked, fault)
        if kept is not None:
            return kept
        answer = await handler(request)
        if isinstance(fault, LostAnswer):
            if fault.silent:
                await self._hang(request, Hang())
            return self._cut(request)
        if isinstance(fault, LateAnswer):
            await self._hang(request, Hang(fault.seconds))
        if isinstance(fault, Unknown):
            return _error(fault)
        if not isinstance(answer, web.Response):
            return answer
        if isinstance(fault, TruncatedBody | Drip):
            return await self._slowly(request, answer, fault)
        return _spoilt(answer, fault)

    async def _kept_from_exchange(
        self, request: web.Request, asked: Request, fault: Fault
    ) -> web.StreamResponse | None:
        """What the client gets when the exchange never hears of its request; None: it does."""
        status: int | None = None
        answer: web.StreamResponse = web.Response()
        if isinstance(fault, Status):
            status, answer = fault.code, refusal(fault.code, fault.retry_after)
        elif isinstance(fault, Refuse) or (isinstance(fault, Unknown) and not fault.executed):
            status, answer = fault.status, _error(fault)
        elif isinstance(fault, Garbage):
            status, answer = 200, web.Response(text=fault.text, content_type="text/html")
        elif isinstance(fault, Close):
            answer = self._cut(request)
        elif not isinstance(fault, Hang) or await self._hang(request, fault):
            return None
        self._lost(asked, fault, status)
        return answer

    async def _hang(self, request: web.Request, fault: Hang) -> bool:
        """Wait until the time is over (True), the client gives up, or the exchange closes."""
        loop = asyncio.get_running_loop()
        end = None if fault.seconds is None else loop.time() + fault.seconds
        while not self.closing.is_set() and (end is None or loop.time() < end):
            if request.transport is None or request.transport.is_closing():
                return False
            await asyncio.sleep(0.01)
        return not self.closing.is_set()

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


def _error(fault: Refuse | Unknown) -> web.Response:
    return json_answer({"code": fault.code, "msg": fault.message}, fault.status)


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
