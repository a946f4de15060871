"""What a policy did over a period, decision by decision: the raw material of every figure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.time import DAY

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """One policy over a period: n decisions in time order, episodes one after another.

    ts [n] µs of each decision; mark [n] price known then. action [n] index of the action set.
    position [n] exposure after the decision's order, −1…1. equity [n] relative to 1 at the start,
    at the end of the step, compounded over episodes. gross [n]: the same without any cost.
    fee, slippage, funding [n]: costs of the step, as shares of the episode's starting equity. The
    last step's equity, fee and slippage hold the exit of a position that is still open there.
    traded [n]: an order was filled. episode [n]: number of the episode.
    terms: reward terms of the step by name, [n] each, none where nobody asked. Costs of a gap
    that a position is carried over are in the step after it. trips: round trips, records of dtype
    ``trips.TRIP``. ruined: the account was liquidated in the last step, and traded no more.
    """

    name: str
    ts: I64
    mark: F64
    action: NDArray[np.uint8]
    position: F64
    equity: F64
    gross: F64
    fee: F64
    slippage: F64
    funding: F64
    traded: NDArray[np.bool_]
    episode: NDArray[np.int32]
    terms: dict[str, F64]
    trips: NDArray[Any]
    ruined: bool = False

    def __len__(self) -> int:
        return len(self.ts)

    def beside(self, other: Record) -> Record:
        """Itself, its columns that equal the other's being the other's: records of one period share
        their times, prices and most costs that nobody paid."""
        names = [field.name for field in fields(self) if field.name not in ("name", "terms")]
        mine = {name: getattr(self, name) for name in names}
        shared = {
            name: getattr(other, name)
            for name, value in mine.items()
            if isinstance(value, np.ndarray) and _same(value, getattr(other, name))
        }
        return replace(self, **shared)

    def daily_returns(self) -> tuple[I64, F64]:
        """(UTC days, net return of each); a day without decisions is not listed."""
        days = self.ts // DAY * DAY
        unique, first = np.unique(days, return_index=True)
        last = np.append(first[1:], len(days)) - 1
        start = np.concatenate([[1.0], self.equity[last[:-1]]])
        return unique, self.equity[last] / start - 1.0


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Of the same type and bits, −0 and NaN told apart from what they equal."""
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and bool((one.view(np.uint8) == other.view(np.uint8)).all())
    )
