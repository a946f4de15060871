"""The identity of a segment: a hash of its schema and of the market content that made it.

It grows with the history a day at a time, and with a day as that goes on: the key of a day's
first part is that of the same day in a market that ends there.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields

import numpy as np

from apex_trader.market import intervals
from apex_trader.market.fills import FillConfig
from apex_trader.market.source import MarketSource
from apex_trader.market.types import Bars, Seconds, Trades
from apex_trader.state.schema import Schema
from apex_trader.time import DAY

_SIZE = 16


class ContentChain:
    """Digest of a market's bars of one clock from the first bar to the end of any day.

    A day's digest covers the day before's digest and its own rows, so the history is read once
    whatever days are asked for.
    """

    def __init__(self) -> None:
        #: Of each day that has bars and is followed by another, with what came before it.
        self._days: list[int] = []
        self._digests: list[bytes] = [b"\0" * _SIZE]

    def digest(self, bars: Bars, day: int) -> bytes:
        """Digest of every bar that opens before the end of the day.

        bars: of the whole history, as in earlier calls; they may have grown or end earlier, but
        days that are followed by another one stay as they were.
        """
        wanted = bars.between(0, day + DAY)
        if len(wanted) == 0:
            return self._digests[0]
        last = int(wanted.ts[-1]) // DAY * DAY
        known = int(np.searchsorted(self._days, last))
        if known == len(self._days):
            known = self._complete(wanted.between(self._after(), last), known)
        return content_digest(self._digests[known], wanted.between(last, last + DAY))

    def _after(self) -> int:
        """µs: bars that open before it are digested."""
        return self._days[-1] + DAY if self._days else 0

    def _complete(self, bars: Bars, known: int) -> int:
        """Digest whole days, the first of which comes behind those known; how many there are."""
        for start in np.unique(bars.ts // DAY * DAY):
            rows = bars.between(int(start), int(start) + DAY)
            self._digests.append(content_digest(self._digests[-1], rows))
            self._days.append(int(start))
            known += 1
        return known


class SegmentKeys:
    """Keys of the segments of some markets, for any day and as of any end."""

    def __init__(self, schema: Schema, fills: FillConfig) -> None:
        self._schema, self._fills = schema, fills
        self._chains: dict[tuple[str, str], ContentChain] = {}

    def key(self, day: int, primary: MarketSource, reference: MarketSource | None) -> str:
        """Hex digest of the schema and of everything that the day's tables were computed from.

        The sources are always the same markets; they may end earlier or later than before.
        """
        digest = f"{self._schema.fingerprint} {day}".encode()
        for name, source in (("primary", primary), ("reference", reference)):
            if source is not None:
                digest += self._content(name, source, day)
        trades = None
        if self._schema.fast_clock == "1s":
            trades = primary.trades(day, day + DAY)
        funding = primary.funding(day, day + DAY + self._fills.latency + 1)
        return content_digest(digest, trades, *funding).hex()

    def _content(self, name: str, source: MarketSource, day: int) -> bytes:
        info = source.info
        digest = f" {name} {info.market} {info.tick_size!r} {info.lookback!r}".encode()
        for clock in sorted({*self._schema.clocks, "1m", "1h", "1d"} - {"1s"}):
            chain = self._chains.setdefault((name, clock), ContentChain())
            digest += chain.digest(source.bars(clock), day)
        if name == "primary" and info.lookback is not None:
            own = intervals.clip(source.coverage(self._schema.fast_clock), day - DAY, day + DAY)
            digest += own.tobytes()
        if self._schema.fast_clock == "1s":
            digest += content_digest(b"", source.seconds(day - DAY, day + DAY))
        return digest


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
