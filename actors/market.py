"""What an actor holds of the market: one path, its tables, and where its pivots lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.replay.tags import ExtremaTagger
from apex_trader.errors import MismatchError
from apex_trader.state.gather import MarketTables
from apex_trader.state.segment import Segment
from apex_trader.trading.path import MarketPath

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class RolloutMarket:
    """Segments as the simulator, the policy and the tagger read them; global rows are common.

    numbers [K] int32: number of each segment in the run's registry.
    """

    path: MarketPath
    tables: MarketTables
    tagger: ExtremaTagger
    numbers: I32

    @classmethod
    def build(
        cls,
        segments: Sequence[Segment],
        numbers: Sequence[int],
        tables: MarketTables,
        radius: int,
    ) -> RolloutMarket:
        """The market of segments, with their registry numbers.

        tables: of the same segments in the same order, with CNN rows where the schema has them.
        radius: ``RolloutConfig.extrema_radius``. MismatchError when tables are of others.
        """
        path = MarketPath.from_segments(segments)
        if tables.first_row != path.first_row[:-1].tolist():
            raise MismatchError(
                "the market tables hold other segments than the path: build both from one list"
            )
        tagger = ExtremaTagger(segments, numbers, radius, tables.schema.decision_interval)
        return cls(path, tables, tagger, np.array(numbers, np.int32))

    def refer(self, rows: I64) -> tuple[I32, I32]:
        """(segment number, row of that segment) of global rows [m], as experiences store them."""
        number, local = self.path.locate(rows)
        return self.numbers[number], local.astype(np.int32)
