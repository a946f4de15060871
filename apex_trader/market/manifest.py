"""``store.json``: the list of what a store holds. A file it does not name is not part of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np

from apex_trader.errors import DataError
from apex_trader.market import intervals
from apex_trader.market.kinds import KINDS, Data, kind_of
from apex_trader.market.source import LookbackSource, MarketInfo
from apex_trader.market.types import I64, Bars, Trades

FORMAT = 1


@dataclass(frozen=True)
class Partition:
    """One partition: its file, and figures of its rows.

    part: file name inside the partition's folder. minutes: file of the 1 m bars of its ticks or
    seconds, None for other kinds. first, last: times of its first and last row. gaps, longest:
    number of pauses between its rows and the longest (µs), see ``pauses``. zero_volume: bars
    that carry a price. unknown_sides: trades without a known aggressor.
    """

    part: str
    minutes: str | None
    rows: int
    first: int
    last: int
    gaps: int = 0
    missing: int = 0
    longest: int = 0
    zero_volume: int = 0
    unknown_sides: int = 0


@dataclass
class KindEntry:
    """Partitions of one kind by label, and the time that its imports speak for ([k, 2], µs)."""

    coverage: list[list[int]] = field(default_factory=list)
    partitions: dict[str, Partition] = field(default_factory=dict)

    def covered(self) -> I64:
        """Coverage as intervals."""
        return np.array(self.coverage, np.int64).reshape(-1, 2)


@dataclass
class MarketEntry:
    """One market: its info, which of its fields a user has given, and its data by kind."""

    info: MarketInfo
    given: list[str] = field(default_factory=list)
    kinds: dict[str, KindEntry] = field(default_factory=dict)


@dataclass
class Manifest:
    """All markets of a store by name ("exchange:SYMBOL")."""

    markets: dict[str, MarketEntry] = field(default_factory=dict)

    def copy(self) -> Manifest:
        """An independent copy."""
        return copy.deepcopy(self)

    def dumps(self) -> bytes:
        """The bytes of ``store.json``."""
        payload = {
            "format": FORMAT,
            "markets": {name: _market_json(entry) for name, entry in sorted(self.markets.items())},
        }
        return (json.dumps(payload, indent=1) + "\n").encode()

    @classmethod
    def loads(cls, content: bytes | None, place: str) -> Manifest:
        """The manifest in these bytes (None: an empty store). DataError when unreadable."""
        if content is None:
            return cls()
        try:
            payload = json.loads(content)
            version = payload["format"]
            if version == FORMAT:
                return cls({n: _market_entry(n, e) for n, e in payload["markets"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                place, f"not a market store's list ({type(error).__name__}: {error})",
                "Import the data into a new folder",
            ) from None  # fmt: skip
        raise DataError(
            place, f"format {version!r} is not {FORMAT}", "Update apex-trader, or import again"
        )


def pauses(data: Data) -> tuple[int, int, int]:
    """(number, missing bars, longest µs) of the gaps between rows.

    Of bars: every stretch of missing bars. Of trades: every pause above a minute; ``longest`` is
    the longest pause of any length.
    """
    kind = kind_of(data)
    steps = np.diff(data.ts)
    if len(steps) == 0:
        return 0, 0, 0
    if kind.step is None:
        number = int((steps > kind.join).sum()) if kind.join else 0
        return number, 0, int(steps.max())
    missing = steps // kind.step - 1
    return int((missing > 0).sum()), int(missing.sum()), int(missing.max()) * kind.step


def describe(data: Data, part: str, minutes: str | None) -> Partition:
    """The manifest's entry for a partition that holds ``data``."""
    gaps, missing, longest = pauses(data)
    zero = int((data.volume == 0).sum()) if isinstance(data, Bars) else 0
    unknown = int((data.side == 0).sum()) if isinstance(data, Trades) else 0
    return Partition(
        part, minutes, len(data), int(data.ts[0]), int(data.ts[-1]), gaps, missing, longest, zero,
        unknown,
    )  # fmt: skip


def cover(entry: KindEntry, start: int, end: int) -> None:
    """Add [start, end) to what the entry's imports speak for."""
    entry.coverage = intervals.union(entry.covered(), intervals.one(start, end)).tolist()


def uncover(entry: KindEntry, start: int, end: int) -> None:
    """Take [start, end) out of what the entry's imports speak for."""
    entry.coverage = intervals.subtract(entry.covered(), intervals.one(start, end)).tolist()


def _market_json(entry: MarketEntry) -> dict[str, Any]:
    kinds = {
        name: {
            "coverage": kind.coverage,
            "partitions": {label: asdict(p) for label, p in sorted(kind.partitions.items())},
        }
        for name, kind in sorted(entry.kinds.items())
    }
    info = {k: v for k, v in asdict(replace(entry.info, synthetic=None)).items() if k != "market"}
    synthetic = entry.info.synthetic
    info["synthetic"] = None if synthetic is None else dict(synthetic)
    return {"info": info, "given": entry.given, "kinds": kinds}


def _market_entry(name: str, payload: Mapping[str, Any]) -> MarketEntry:
    values = dict(payload["info"])
    if values.get("lookback") is not None:
        values["lookback"] = LookbackSource(**values["lookback"])
    values["instrument"] = cast(Literal["spot", "perpetual"], values["instrument"])
    kinds = {
        kind: KindEntry(
            [[int(a), int(b)] for a, b in entry["coverage"]],
            {label: Partition(**p) for label, p in entry["partitions"].items()},
        )
        for kind, entry in payload["kinds"].items()
        if kind in KINDS
    }
    return MarketEntry(MarketInfo(market=name, **values), list(payload["given"]), kinds)
