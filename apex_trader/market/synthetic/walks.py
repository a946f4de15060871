"""Walks of both symbols through their minutes, on lattices made for each minute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.bridge import STEPS, draw_walks, lattice, place_of
from apex_trader.market.synthetic.ranges import Volatility
from apex_trader.market.synthetic.targets import Minutes
from apex_trader.market.synthetic.waits import Waits

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Part of a cell's width that prices are spread over. Anywhere in the cell they would be rougher
#: than the walk, and apart from the other symbol's, which is slow to settle.
ABOUT = 0.3


@dataclass(frozen=True)
class Walks:
    """cells [2, minutes, STEPS + 1] of the price after each edge of the grid; they are ``width``
    [2, minutes] wide and stand on the log price ``floor`` [2, minutes]."""

    cells: I64
    floor: F64
    width: F64

    def at(self, symbol: int, minute: I64, place: F64, rng: np.random.Generator) -> F64:
        """Log prices at places of minutes, about the middle of their cells."""
        cell = self.cells[symbol, minute, place.astype(np.int64)] + 0.5
        inside = (cell + ABOUT * (rng.random(len(minute)) - 0.5)) * self.width[symbol, minute]
        return np.asarray(self.floor[symbol, minute] + inside)


def start_walks(
    minutes: list[Minutes],
    volatility: list[Volatility],
    waits: Waits,
    correlation: float,
    rng: np.random.Generator,
) -> Walks:
    """Walks through one symbol's minutes, or two symbols' together; an only one is paired with one
    that is absent."""
    count = len(minutes[0].ts)
    first, last, chance, width, floor = (np.zeros((2, count)) for _ in range(5))
    cells, late, early = (np.full((2, count), value, np.int64) for value in (1, 0, 0))
    for k, (minute, known) in enumerate(zip(minutes, volatility, strict=True)):
        floor[k] = minute.log_low - known.below
        reach = minute.reach + known.below + known.above
        cells[k], chance[k] = lattice(reach, known.sigma)
        first[k] = place_of(minute.log_open, floor[k], reach, cells[k])
        last[k] = place_of(minute.log_close, floor[k], reach, cells[k])
        width[k] = reach / cells[k]
        late[k] = np.rint(waits.first[k])
        early[k] = np.rint(STEPS - waits.last[k])
    walks = draw_walks(first, last, cells, chance, late, early, correlation, rng)
    return Walks(walks, floor, width)
