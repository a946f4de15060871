"""The identity of market content: a hash that grows with the history, a day at a time."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import numpy as np

from apex_trader.market.types import Bars, Seconds, Trades
from apex_trader.time import DAY

_SIZE = 16


class ContentChain:
    """Digest of a market's bars of one clock from the first bar to the end of any day.

    A day's digest covers the day before's digest and its own rows, so the history is read once
    whatever days are asked for.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._days = np.unique(bars.ts // DAY * DAY)
        self._digests: list[bytes] = [b"\0" * _SIZE]

    def digest(self, day: int) -> bytes:
        """Digest of every bar that opens before the end of the day."""
        known = int(np.searchsorted(self._days, day, side="right"))
        while len(self._digests) <= known:
            start = int(self._days[len(self._digests) - 1])
            rows = self._bars.between(start, start + DAY)
            self._digests.append(content_digest(self._digests[-1], rows))
        return self._digests[known]


def content_digest(before: bytes, *parts: Bars | Seconds | Trades | np.ndarray | None) -> bytes:
    """Digest of ``before`` and every column of the parts, in order."""
    digest = hashlib.blake2b(before, digest_size=_SIZE)
    for part in parts:
        if part is None:
            continue
        columns = [part] if isinstance(part, np.ndarray) else _columns(part)
        for column in columns:
            digest.update(f"{column.dtype.str}{column.shape}".encode())
            digest.update(np.ascontiguousarray(column).data)
    return digest.digest()


def _columns(part: Bars | Seconds | Trades) -> list[np.ndarray]:
    values = (getattr(part, f.name) for f in fields(part))
    return [value for value in values if isinstance(value, np.ndarray)]
