"""Requests through a ccxt client: its failures sorted into those to repeat and those to report."""

from __future__ import annotations

import asyncio
import json
import re
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import ccxt

from apex_trader.errors import ApexError
from apex_trader.market.exchange.client import endpoint
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.retry import Again, Retry, retry_after

T = TypeVar("T")
#: Statuses that no repetition mends; ccxt takes some of them for a server that is down.
_FINAL = {
    401: "the API key is not accepted",
    403: "access is refused",
    404: "there is no such address",
    451: "not served to this place",
}

#: Kinds of JSON, in words.
_KINDS: dict[type, str] = {
    dict: "an object", list: "a list", type(None): "null", int: "a number", float: "a number",
    bool: "a truth value", str: "a text",
}  # fmt: skip


@dataclass(frozen=True)
class _Status:
    code: int
    wait: float | None


class Requests:
    """Calls of a ccxt client's methods, repeated as ``Retry`` says; errors name the address."""

    def __init__(self, client: Any, config: ExchangeConfig, retry: Retry) -> None:
        self.client, self.config, self.retry = client, config, retry
        self.address = endpoint(client, config)
        self._statuses: weakref.WeakKeyDictionary[asyncio.Task[Any], _Status] = (
            weakref.WeakKeyDictionary()
        )
        self._received: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = (
            weakref.WeakKeyDictionary()
        )
        self._listen()

    def received(self) -> int:
        """Bytes of the answers that the calling task got since it last asked."""
        task = asyncio.current_task()
        return 0 if task is None else self._received.pop(task, 0)

    async def call(
        self, request: Callable[[], Awaitable[T]], expect: type, retries: int | None = None
    ) -> T:
        """The answer of a client's coroutine, which must be of type ``expect``.

        Raises UnreachableError when it never comes, or is always of another type, ApexError when
        the request is refused.
        """

        async def once() -> T:
            answer = await self._once(request)
            if not isinstance(answer, expect):
                raise _other_kind(answer, expect)
            return answer

        return await self.retry.call(self.address, once, retries)

    async def _once(self, request: Callable[[], Awaitable[T]]) -> T:
        task = asyncio.current_task()
        if task is not None:
            self._statuses.pop(task, None)
        try:
            return await request()
        except ccxt.BaseError as error:
            status = None if task is None else self._statuses.get(task)
            raise self._sorted(error, status) from None
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            # The client's own parser, over an answer that has not the shape that it knows.
            reason = shortened(f"{type(error).__name__}: {error}")
            raise Again(f"an answer that cannot be read, {reason}", odd=True) from None

    def _sorted(self, error: ccxt.BaseError, status: _Status | None) -> Exception:
        reason = shortened(str(error)) or type(error).__name__
        if status is not None and status.code in _FINAL:
            return ApexError(
                f"{self.address} answers {status.code}, {_FINAL[status.code]}: give another "
                "address of the exchange (--url), or use its archive (--source archive)"
            )
        if isinstance(error.__cause__, aiohttp.ClientError | OSError | asyncio.TimeoutError):
            cause = error.__cause__
            return Again(str(cause).strip() or type(cause).__name__)
        if isinstance(error, ccxt.OperationFailed):
            return Again(reason, None if status is None else status.wait)
        return ApexError(f"{self.address} refuses the request: {reason}")

    def _listen(self) -> None:
        """Take note of each answer's status, which ccxt's errors do not carry, and of its size."""
        passed: Callable[..., Any] = self.client.on_rest_response

        def note(
            code: int,
            reason: str,
            url: str,
            method: str,
            headers: Mapping[str, str],
            body: str,
            *rest: Any,
        ) -> Any:
            task = asyncio.current_task()
            if task is not None:
                sent = {name.lower(): value for name, value in headers.items()}
                self._statuses[task] = _Status(
                    code, retry_after(sent.get("retry-after"), time.time())
                )
                self._received[task] = self._received.get(task, 0) + len(body)
            return passed(code, reason, url, method, headers, body, *rest)

        self.client.on_rest_response = note


def _other_kind(answer: object, expect: type) -> Again:
    """A gateway's page mostly passes; JSON of another kind mostly stays."""
    if isinstance(answer, str):
        # What is neither object nor list, ccxt hands on as text.
        try:
            answer = json.loads(answer)
        except ValueError:
            return Again("an answer that is no JSON")
    found = _KINDS.get(type(answer), type(answer).__name__)
    return Again(f"{found} in place of {_KINDS.get(expect, expect.__name__)}", odd=True)


def shortened(text: str) -> str:
    """One line without addresses' queries, which hold signatures."""
    line = " ".join(re.sub(r"\?\S+", "", text).split())
    return line if len(line) <= 200 else line[:199] + "…"
