"""Faults on demand: what may go wrong with a request, and when; `frame_faults` is for sockets.

A script decides for each ``Request`` which fault it meets. It is any callable, a list of faults
by request number (None: served well), or a list of ``On`` rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np


@dataclass(frozen=True)
class Request:
    """A request that has arrived.

    number: counted from 0 over all requests; part: "spot", "futures", "wallet", "archive", or
    "socket" for the opening of a websocket; path as sent; query: parameters, those of the body too;
    time: µs on the exchange's clock.
    """

    number: int
    part: str
    path: str
    query: Mapping[str, str]
    time: int
    method: str = "GET"


class Fault:
    """Something that goes wrong. Counted by its class's name in lower case."""

    @property
    def name(self) -> str:
        """Name under which it is counted."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Status(Fault):
    """Answer with this status: 429 and 418 (with ``retry_after``, s) or 5xx. Counted as
    "status 503"."""

    code: int
    retry_after: int | None = None

    @property
    def name(self) -> str:
        return f"status {self.code}"


@dataclass(frozen=True)
class Hang(Fault):
    """Accept the connection and never answer; or only after ``seconds``, when the request reaches
    the exchange as well. A client that has left by then was never heard."""

    seconds: float | None = None


@dataclass(frozen=True)
class Close(Fault):
    """Close the connection at once, with no answer.

    aiohttp's client, and so ccxt's, silently asks again once: it takes two to be noticed.
    """


@dataclass(frozen=True)
class LostAnswer(Fault):
    """Do what is asked, and let the answer be lost: the connection is cut, or silent for good."""

    silent: bool = False


@dataclass(frozen=True)
class LateAnswer(Fault):
    """Do what is asked, and give the answer after ``seconds`` of real time."""

    seconds: float


@dataclass(frozen=True)
class Refuse(Fault):
    """Do nothing, and answer with an error of the exchange's. Counted as "refuse -2019"."""

    code: int
    message: str = "Refused."
    status: int = 400

    @property
    def name(self) -> str:
        return f"refuse {self.code}"


@dataclass(frozen=True)
class Unknown(Fault):
    """Answer that the execution's status is unknown; only ``executed`` says whether it was done.

    code: -1006 or -1007. Counted as "unknown -1007".
    """

    executed: bool
    code: int = -1007
    status: int = 503

    @property
    def name(self) -> str:
        return f"unknown {self.code}"

    @property
    def message(self) -> str:
        """As the exchange words it."""
        if self.code == -1006:
            return (
                "An unexpected response was received from the message bus. Execution status "
                "unknown."
            )
        return (
            "Timeout waiting for response from backend server. Send status unknown; execution "
            "status unknown."
        )


@dataclass(frozen=True)
class Garbage(Fault):
    """Answer 200 with a text that is no JSON."""

    text: str = "<html><body>upstream</body></html>"


@dataclass(frozen=True)
class TruncatedBody(Fault):
    """Announce the whole body, send a share of it, then cut the connection."""

    share: float = 0.5


@dataclass(frozen=True)
class Drip(Fault):
    """Send the body in chunks of ``size`` bytes with a pause (real seconds) after each."""

    size: int = 1024
    pause: float = 0.02


@dataclass(frozen=True)
class TruncatedZip(Fault):
    """The archive's file lacks its end; the answer itself is whole and well formed."""

    share: float = 0.5


@dataclass(frozen=True)
class CorruptZip(Fault):
    """One byte in the middle of the archive's file is wrong; its length is right."""


@dataclass(frozen=True)
class WrongChecksum(Fault):
    """The .CHECKSUM file names another digest."""


Item = TypeVar("Item")
Script: TypeAlias = Callable[[Request], Fault | None]


@dataclass
class On:
    """A rule: requests whose "part path" or "METHOD path" contains ``where`` meet ``fault``.

    The first ``skip`` of them are served, then every ``every``-th meets it, ``times`` times
    altogether (None: always); only while ``start <= time < end`` on the exchange's clock.
    """

    fault: Fault
    where: str = ""
    skip: int = 0
    times: int | None = None
    every: int = 1
    start: int = 0
    end: int | None = None
    seen: int = 0
    met: int = 0

    def __call__(self, request: Request) -> Fault | None:
        named = (f"{request.part} {request.path}", f"{request.method} {request.path}")
        if not any(self.where in name for name in named):
            return None
        if request.time < self.start or (self.end is not None and request.time >= self.end):
            return None
        at = self.seen - self.skip
        self.seen += 1
        if at < 0 or at % self.every or (self.times is not None and self.met >= self.times):
            return None
        self.met += 1
        return self.fault


Scripted: TypeAlias = Script | Sequence[On] | Sequence[Fault | None] | None


def scripted(faults: Scripted) -> Script:
    """The script that faults describe, in any of their forms."""
    if faults is None:
        return lambda request: None
    if callable(faults):
        return faults
    rules = list(faults)

    def decide(request: Request) -> Fault | None:
        for rule in rules:
            if isinstance(rule, On):
                fault = rule(request)
                if fault is not None:
                    return fault
        if request.number < len(rules):
            listed = rules[request.number]
            return listed if isinstance(listed, Fault) else None
        return None

    return decide


class Random(Generic[Item]):
    """A script that draws: each fault with its own probability, the first that comes up counts.

    Works for requests and for frames. ``where`` limits it to items whose description contains it.
    """

    def __init__(
        self,
        generator: np.random.Generator,
        rates: Mapping[Item, float],
        where: Callable[[object], bool] = lambda item: True,
    ) -> None:
        self._generator, self._rates, self._where = generator, dict(rates), where

    def __call__(self, item: object) -> Item | None:
        if not self._where(item):
            return None
        drawn = self._generator.random(len(self._rates))
        for (fault, rate), value in zip(self._rates.items(), drawn.tolist(), strict=True):
            if value < rate:
                return fault
        return None
