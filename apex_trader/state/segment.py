"""A segment: one UTC day of market tables with its look-back, shared by reference.

Everything that depends on the market alone is in here, once. An experience refers to it by
(segment, row), where row counts the day's decision times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Decisions:
    """One row a decision time; n = rows. All of it known strictly before ``ts``, but `Outcomes`.

    ts [n] µs. row[clock] [n]: the last bar closed at ts, a row of that clock's tables, which hold
    at least a window of rows up to it (window lengths are the schema's). start[clock] [n]: first
    row of the window that may be shown: on the fast clock no earlier than the stretch of trading
    that ts lies in (row + 1 when it lies in none), so rows before it count as missing.
    anchor [n, 2]: ln p_t - base of primary and reference. scale[clock] [n, 2]:
    1 / (σ_clock(t) · √W / 2) of primary and reference. coverage [n, blocks]: share of the window's
    rows that are there. decidable [n]: coverage suffices and no gap is inside the fast window.
    sigma_hour, sigma_decision [n]: σ of 1 h returns and σ over one decision interval (log units).
    trend [n]: confirmed trend, -1…1 (mean of the pivot trends of levels 2 to 4).
    choppiness [n]: 0…1, how much the regime punishes trading. mark [n]: ln p_t (float64).
    """

    ts: I64
    start: dict[str, I32]
    row: dict[str, I32]
    anchor: F32
    scale: dict[str, F32]
    coverage: F32
    decidable: Bool
    sigma_hour: F32
    sigma_decision: F32
    trend: F32
    choppiness: F32
    mark: F64


@dataclass(frozen=True)
class Outcomes:
    """What happens after a decision: for the simulator and for labels, never for a state.

    fill [n]: ln of the price at which an order decided at ts is filled before slippage, NaN when
    it is not filled. fill_ts [n] µs of that fill (0 when none). next_row [n]: the row one decision
    later, -1 where the episode ends here (day end, gap, or no coverage there). episode [n]:
    number of the unbroken run of decidable rows that a row belongs to, -1 when not decidable.
    funding [n]: funding rate charged to a long position between this row and the next.
    """

    fill: F64
    fill_ts: I64
    next_row: I32
    episode: I32
    funding: F32


@dataclass(frozen=True)
class PivotEvents:
    """Pivots of level >= 2 in the order they become known inside this day; m = events.

    known_row [m]: first decision row whose state may know it. level [m]. kind [m]: +1 high,
    -1 low. ts [m]: the pivot bar's own open time in µs (it may lie in an earlier segment).
    """

    known_row: I32
    level: NDArray[np.int8]
    kind: NDArray[np.int8]
    ts: I64


@dataclass(frozen=True)
class Segment:
    """Tables of one UTC day of one market under one schema.

    key: hex digest of market content and schema. schema: the schema's fingerprint. day: start of
    the UTC day, µs.
    base: (primary, reference) log prices that tables are relative to.
    tables[block] [rows, width]: float32, NaN where missing; anchored columns hold ln p - base,
    all others are final (clipped to ±5). row_scale: for blocks whose anchored columns are scaled
    by row ("pivots": [rows, anchored]), float32. cannot_provide: "block.column" names that the
    source cannot provide anywhere in this segment. synthetic: the market is not a real one.
    clip_share[block] [width]: share of present table rows that the guard clips; NaN for anchored
    columns, whose share is measured on gathered states.
    """

    key: str
    schema: str
    market: str
    day: int
    base: tuple[float, float]
    tables: dict[str, F32]
    row_scale: dict[str, F32]
    decisions: Decisions
    outcomes: Outcomes
    pivot_events: PivotEvents
    cannot_provide: tuple[str, ...] = ()
    synthetic: bool = False
    clip_share: dict[str, F64] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Decision times of the day."""
        return len(self.decisions.ts)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        known = self.decisions
        parts: list[Mapping[str, NDArray[Any]]] = [self.tables, self.row_scale, known.scale]
        parts += [known.start, known.row]
        total = sum(a.nbytes for part in parts for a in part.values())
        for holder in (self.decisions, self.outcomes, self.pivot_events):
            total += sum(a.nbytes for a in vars(holder).values() if isinstance(a, np.ndarray))
        return total
