"""What a store holds, in figures that come from its list alone: no data is read."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

from apex_trader.market.kinds import KINDS
from apex_trader.market.manifest import KindEntry
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore


@dataclass(frozen=True)
class KindSummary:
    """One kind of data of one market.

    first, last: times (µs) of the first and last row. gaps, missing, longest: stretches of missing
    bars, bars missing in them, the longest of them (µs); of trades: pauses above a minute, and the
    longest pause. zero_volume: bars that carry a price. unknown_sides: trades of unknown side.
    """

    rows: int
    partitions: int
    first: int
    last: int
    gaps: int
    missing: int
    longest: int
    zero_volume: int
    unknown_sides: int


@dataclass(frozen=True)
class MarketSummary:
    """One market: what is known of it, and each kind of its data, finest first."""

    info: MarketInfo
    kinds: dict[str, KindSummary]

    def to_json(self) -> dict[str, Any]:
        """Plain values; times in µs UTC."""
        info = {name: value for name, value in vars(self.info).items() if name != "lookback"}
        lookback = self.info.lookback
        return {
            **info,
            "synthetic": None if self.info.synthetic is None else dict(self.info.synthetic),
            "lookback": None if lookback is None else asdict(lookback),
            "kinds": {kind: asdict(summary) for kind, summary in self.kinds.items()},
        }


def summarize(store: MarketStore, market: str) -> MarketSummary:
    """Figures of a market's data."""
    held = store.entry(market).kinds
    kinds = {kind: _kind(kind, held[kind]) for kind in store.kinds(market)}
    return MarketSummary(store.info(market), kinds)


def _kind(name: str, entry: KindEntry) -> KindSummary:
    kind = KINDS[name]
    parts = [entry.partitions[label] for label in sorted(entry.partitions)]
    gaps, missing = sum(p.gaps for p in parts), sum(p.missing for p in parts)
    longest = max(p.longest for p in parts)
    # Between partitions the list knows the last and the next row.
    for before, after in itertools.pairwise(parts):
        pause = after.first - before.last
        if kind.step is None:
            gaps += int(kind.join > 0 and pause > kind.join)
            longest = max(longest, pause)
        elif pause > kind.step:
            gaps, missing = gaps + 1, missing + pause // kind.step - 1
            longest = max(longest, pause - kind.step)
    return KindSummary(
        sum(p.rows for p in parts), len(parts), parts[0].first, parts[-1].last, gaps, missing,
        longest, sum(p.zero_volume for p in parts), sum(p.unknown_sides for p in parts),
    )  # fmt: skip
