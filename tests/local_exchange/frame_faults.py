"""Faults of sockets: what may happen to one message of a stream on one connection.

A script decides for each ``Frame``: any callable that gives a fault or None, a mapping from frame
numbers to faults, or a list of ``OnFrame`` rules. ``faults.Random`` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.local_exchange.faults import Fault


@dataclass(frozen=True)
class Frame:
    """One message about to be sent to one connection: a trade, or a private event.

    number: counted from 0 over all frames of all connections; connection: its number;
    sent: frames of this connection before; stream: e.g. "ethusdt@aggTrade", and
    "user@ORDER_TRADE_UPDATE" for such a message of a private stream; id: aggregate trade id, or
    order id; time: µs at which the trade became known, or the private event happened.
    """

    number: int
    connection: int
    sent: int
    stream: str
    id: int
    time: int


@dataclass(frozen=True)
class Disconnect(Fault):
    """Cut the connection before this frame, without a closing handshake."""


@dataclass(frozen=True)
class Goodbye(Fault):
    """Close the connection before this frame as the exchange does, with a closing handshake."""

    code: int = 1001


@dataclass(frozen=True)
class HalfClose(Fault):
    """The connection stays open, but from here on nothing comes: no data, no pongs."""


@dataclass(frozen=True)
class GarbageFrame(Fault):
    """Send a text that is no message, then the frame."""

    text: str = '{"e":"aggTrade","E":17230'


@dataclass(frozen=True)
class Duplicate(Fault):
    """Send the frame ``times`` times more."""

    times: int = 1


@dataclass(frozen=True)
class Reorder(Fault):
    """Send the frame only after ``behind`` later frames (or ``within`` µs of exchange time)."""

    behind: int = 1
    within: int = 1_000_000


@dataclass(frozen=True)
class Late(Fault):
    """Send the frame ``by`` µs of exchange time later than the others."""

    by: int = 2_000_000


@dataclass(frozen=True)
class Missing(Fault):
    """Never send the frame."""


@dataclass
class OnFrame:
    """A rule: frames whose stream's name contains ``where`` meet ``fault``.

    The first ``skip`` of them are sent well, then every ``every``-th meets it, ``times`` times
    altogether (None: always).
    """

    fault: Fault
    where: str = ""
    skip: int = 0
    times: int | None = None
    every: int = 1
    seen: int = 0
    met: int = 0

    def __call__(self, frame: Frame) -> Fault | None:
        if self.where not in frame.stream:
            return None
        at = self.seen - self.skip
        self.seen += 1
        if at < 0 or at % self.every or (self.times is not None and self.met >= self.times):
            return None
        self.met += 1
        return self.fault


FrameScript: TypeAlias = Callable[[Frame], Fault | None]
FrameScripted: TypeAlias = FrameScript | Mapping[int, Fault] | Sequence[OnFrame] | None


def frame_scripted(faults: FrameScripted) -> FrameScript:
    """The script that faults describe, in any of their forms."""
    if faults is None:
        return lambda frame: None
    if isinstance(faults, Mapping):
        by_number = dict(faults)
        return lambda frame: by_number.get(frame.number)
    if callable(faults):
        return faults
    rules = list(faults)
    return lambda frame: next(filter(None, (rule(frame) for rule in rules)), None)
