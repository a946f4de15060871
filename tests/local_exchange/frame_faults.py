"""Faults of sockets: what may happen to one trade's message on one connection.

A script decides for each ``Frame``: any callable that gives a fault or None, or a mapping from
frame numbers to faults. ``faults.Random`` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tests.local_exchange.faults import Fault


@dataclass(frozen=True)
class Frame:
    """One trade about to be sent to one connection.

    number: counted from 0 over all frames of all connections; connection: its number;
    sent: frames of this connection before; stream: e.g. "ethusdt@aggTrade"; id: aggregate trade
    id; time: µs at which the trade became known.
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


FrameScript: TypeAlias = Callable[[Frame], Fault | None]
FrameScripted: TypeAlias = FrameScript | Mapping[int, Fault] | None


def frame_scripted(faults: FrameScripted) -> FrameScript:
    """The script that faults describe, in any of their forms."""
    if faults is None:
        return lambda frame: None
    if isinstance(faults, Mapping):
        by_number = dict(faults)
        return lambda frame: by_number.get(frame.number)
    return faults
