"""The optimum of the market of trends: a drift that switches unseen."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from apex_trader.evaluation.optimum.chain import Plan, Signal, solve, worth
from apex_trader.evaluation.optimum.expectation import Expected, over_volatilities
from apex_trader.evaluation.optimum.planted import Hidden, PlantedOptimum
from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.evaluation.optimum.regime_filter import Belief, Trends, believe
from apex_trader.evaluation.optimum.simplex import BeliefGrid
from apex_trader.evaluation.optimum.tables import by_stretch
from apex_trader.time import SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Volatilities that plans are made for.
_VOLATILITIES = 5
#: Nodes of the integral over the next return.
_NODES = 5
_TREND = np.array([-1.0, 0.0, 1.0])


class RegimesOptimum(PlantedOptimum):
    """The drift is a chain of three states; what is known of it, their chances.

    Oracle: the state itself. Filter: Hamilton's (``regime_filter``); dynamic programming on a grid
    of the chances, which are a Markov process of their own (Åström 1965). How fast they move
    depends on the walk's volatility, which changes slowly: there is a plan for each of several.
    """

    @cached_property
    def _law(self) -> Trends:
        return Trends.of(self.parameters)

    def oracle(self, hidden: Hidden, ts: I64) -> F64:
        """See ``PlantedOptimum.oracle``."""
        state = hidden.at(self.primary, "state", ts)
        ahead = self._oracle.ahead[state.astype(np.int64) + 1]
        return self._worth(state, ahead)

    def filtered(self, prints: tuple[Prints, Prints], ts: I64) -> F64:
        """See ``PlantedOptimum.filtered``."""
        interval = round(self.execution.interval * SECOND)
        belief = believe(self._law, self.volatility, prints, ts, interval)

        def value(rows: slice) -> F64:
            part = Belief(belief.chances[rows], belief.log_volatility[rows])
            return self._worth(part.chances @ _TREND, self._ahead(part))

        return by_stretch(len(ts), value)

    def expected(self, rng: np.random.Generator) -> Expected:
        """See ``PlantedOptimum.expected``."""
        gains = np.array([[plan.gain, 0.0] for plan in self._plans])
        seen, _ = over_volatilities(self.volatility, self._volatilities, gains)
        days = self.execution.decisions_per_day
        return Expected(self._oracle.gain * days, seen * days)

    def _worth(self, trend: F64, ahead: F64) -> F64:
        whole, rest = self._returns(trend)
        return worth(whole, rest, ahead, self.costs, self.execution.unfilled)

    def _returns(self, trend: F64) -> tuple[F64, F64]:
        """Expected log returns of the interval and of its part behind the fill, by E[state]."""
        whole = float(self._law.drift(self.execution.interval))
        before = self.execution.mean(self._law.drift(self.execution.delays))
        return trend * whole, trend * (whole - before)

    @cached_property
    def _oracle(self) -> Plan:
        table = sparse.csr_matrix(self._law.transition(self.execution.interval))
        return solve(Signal(table, *self._returns(_TREND)), self.costs, self.execution.unfilled)

    @cached_property
    def _volatilities(self) -> F64:
        return self.volatility.grid(_VOLATILITIES)

    @cached_property
    def _grid(self) -> BeliefGrid:
        return BeliefGrid.of(self._law.leave, self.execution.interval)

    @cached_property
    def _plans(self) -> list[Plan]:
        plans: list[Plan] = []
        for value in self._volatilities:
            plans.append(self._plan(float(value), plans[-1] if plans else None))
        return plans

    def _plan(self, volatility: float, like: Plan | None) -> Plan:
        chances = self._grid.chances
        foretold = chances @ self._law.transition(self.execution.interval)
        strength = float(self._law.signal(volatility, self.execution.interval))
        nodes, weight = np.polynomial.hermite_e.hermegauss(_NODES)
        weight = weight / weight.sum()
        table = sparse.csr_matrix((len(chances), len(chances)))
        for state in range(3):
            for node, share in zip(nodes, weight, strict=True):
                seen = strength * _TREND[state] + node
                likely = np.exp(_TREND * strength * seen - 0.5 * (_TREND * strength) ** 2)
                after = foretold * likely
                after /= after.sum(axis=1, keepdims=True)
                mass = sparse.diags(foretold[:, state] * share)
                table = table + mass @ self._grid.spread(after)
        signal = Signal(table.tocsr(), *self._returns(chances @ _TREND))
        return solve(signal, self.costs, self.execution.unfilled, like)

    def _ahead(self, belief: Belief) -> F64:
        """[n, 3] values at beliefs, between the plans of their volatility."""
        points = len(self._volatilities)
        place = np.interp(
            belief.log_volatility, np.log(self._volatilities), np.arange(points, dtype=np.float64)
        )
        at = self._grid.spread(belief.chances)
        total = np.zeros((len(place), 3))
        for k, plan in enumerate(self._plans):
            weight = np.maximum(0.0, 1.0 - np.abs(place - k))
            total += weight[:, None] * (at @ plan.ahead)
        return total
