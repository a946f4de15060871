"""The optimum of the market without an edge: to stay out of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from apex_trader.evaluation.optimum.chain import Plan, Signal, solve, worth
from apex_trader.evaluation.optimum.expectation import Expected
from apex_trader.evaluation.optimum.planted import Hidden, PlantedOptimum
from apex_trader.evaluation.optimum.prints import Prints

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class MartingaleOptimum(PlantedOptimum):
    """No return is to be expected: whoever is flat stays so, as far as the actions let him."""

    def oracle(self, hidden: Hidden, ts: I64) -> F64:
        """See ``PlantedOptimum.oracle``."""
        return self._values(len(ts))

    def filtered(self, prints: tuple[Prints, Prints], ts: I64) -> F64:
        """See ``PlantedOptimum.filtered``."""
        return self._values(len(ts))

    def expected(self, rng: np.random.Generator) -> Expected:
        """See ``PlantedOptimum.expected``."""
        gain = self._plan().gain * self.execution.decisions_per_day
        return Expected(gain, gain)

    def _plan(self) -> Plan:
        nothing = Signal(sparse.identity(1, format="csr"), np.zeros(1), np.zeros(1))
        return solve(nothing, self.costs, self.execution.unfilled)

    def _values(self, rows: int) -> F64:
        nothing, ahead = np.zeros(rows), np.repeat(self._plan().ahead, rows, axis=0)
        return worth(nothing, nothing, ahead, self.costs, self.execution.unfilled)
