"""What a store holds of a want, in figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apex_trader.market import intervals
from apex_trader.market.download.want import Want
from apex_trader.market.kinds import KINDS
from apex_trader.market.manifest import KindEntry
from apex_trader.market.store import MarketStore


@dataclass(frozen=True)
class Held:
    """rows inside the wanted time (of trades: in the partitions that touch it).

    gaps, missing: stretches of absent bars in the time that is covered, and bars absent in them.
    Of trades: pauses above a minute; missing is 0.
    """

    rows: int
    gaps: int
    missing: int


def held(store: MarketStore, wanted: Want) -> Held:
    """Figures of a want. Bars are read; of trades, which are many, the store's list is enough."""
    entry = store.manifest.markets.get(wanted.market)
    kind = KindEntry() if entry is None else entry.kinds.get(wanted.kind, KindEntry())
    step = KINDS[wanted.kind].step
    if step is None:
        parts = [p for p in kind.partitions.values()
                 if p.first < wanted.end and p.last >= wanted.start]  # fmt: skip
        return Held(sum(p.rows for p in parts), sum(p.gaps for p in parts), 0)
    if wanted.kind not in ({} if entry is None else entry.kinds):
        return Held(0, 0, 0)
    ts = store.read_bars(wanted.market, wanted.kind, wanted.start, wanted.end).ts
    absent = [
        np.setdiff1d(np.arange(start, end, step), ts, assume_unique=True)
        for start, end in intervals.clip(kind.covered(), wanted.start, wanted.end).tolist()
    ]
    gaps = sum(1 + int((np.diff(part) > step).sum()) for part in absent if len(part))
    return Held(len(ts), gaps, sum(len(part) for part in absent))
