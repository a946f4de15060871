"""The optimum of the mean-reverting market: a hidden deviation that dies away."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from apex_trader.evaluation.optimum.autoregression import rouwenhorst
from apex_trader.evaluation.optimum.chain import Plan, Signal, solve, worth
from apex_trader.evaluation.optimum.deviation_filter import Deviations, Estimate, estimate
from apex_trader.evaluation.optimum.expectation import Expected, over_volatilities
from apex_trader.evaluation.optimum.planted import Hidden, PlantedOptimum
from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.evaluation.optimum.tables import by_stretch, interpolated
from apex_trader.market.synthetic.planted import per_second
from apex_trader.time import CLOCKS, SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: States of the deviation's chain; with twice as many, the gain moves by less than a thousandth.
_STATES = 101
#: Volatilities that plans are made for.
_VOLATILITIES = 7
#: Chances of a chain below this are not kept.
_TINY = 1e-12


class MeanReversionOptimum(PlantedOptimum):
    """The deviation X is an autoregression; so is its mean given the prices seen, a smaller one.

    Oracle: X itself. Filter: a bank of Kalman filters (``deviation_filter``). With P the variance
    of its error, the mean m has the variance d² - P and X's own persistence, and given all that is
    seen the market's expected return is m's: the same dynamic programme with another deviation.
    P depends on the walk's volatility, which changes slowly against the deviation: there is a plan
    for each of several, and the filter's volatility chooses between them.
    """

    @property
    def _half_life(self) -> float:
        return float(self.parameters["half_life"])

    @property
    def _deviation(self) -> float:
        return float(self.parameters["deviation"]) * 1e-4

    @cached_property
    def _law(self) -> Deviations:
        return Deviations.of(self.parameters)

    def relative(self, volatility: F64) -> F64:
        """See ``PlantedOptimum.relative``: the deviation's own volatility is constant."""
        kick = self._deviation * math.sqrt(2.0 * self._law.decay)
        typical = math.hypot(per_second(self.parameters["volatility"]), kick)
        return np.hypot(volatility, kick) / typical

    def oracle(self, hidden: Hidden, ts: I64) -> F64:
        """See ``PlantedOptimum.oracle``."""
        deviation = hidden.at(self.primary, "deviation", ts)
        return self._worth(deviation, self._interpolate(self._oracle, self._deviation, deviation))

    def filtered(self, prints: tuple[Prints, Prints], ts: I64) -> F64:
        """See ``PlantedOptimum.filtered``."""
        seen = estimate(self._law, self.volatility, prints, ts)

        def value(rows: slice) -> F64:
            part = Estimate(seen.mean[rows], seen.log_volatility[rows])
            return self._worth(part.mean, self._ahead(part))

        return by_stretch(len(ts), value)

    def expected(self, rng: np.random.Generator) -> Expected:
        """See ``PlantedOptimum.expected``."""
        gains = np.array([[plan.gain, 0.0] for plan in self._plans])
        seen, _ = over_volatilities(self.volatility, self._grid, gains)
        days = self.execution.decisions_per_day
        return Expected(self._oracle.gain * days, seen * days)

    def _worth(self, mean: F64, ahead: F64) -> F64:
        whole, rest = self._returns(mean)
        return worth(whole, rest, ahead, self.costs, self.execution.unfilled)

    def _returns(self, deviation: F64) -> tuple[F64, F64]:
        """Expected log returns of the interval, and of its part behind the fill."""
        later = self.execution.mean(np.exp2(-self.execution.delays / self._half_life))
        return -deviation * (1.0 - self._keep), -deviation * (later - self._keep)

    @property
    def _keep(self) -> float:
        return math.pow(2.0, -self.execution.interval / self._half_life)

    @cached_property
    def _chain(self) -> tuple[F64, sparse.csr_matrix]:
        grid, table = rouwenhorst(self._keep, _STATES)
        table[table < _TINY] = 0.0
        return grid, sparse.csr_matrix(table / table.sum(axis=1, keepdims=True))

    def _plan(self, deviation: float) -> Plan:
        grid, table = self._chain
        signal = Signal(table, *self._returns(deviation * grid))
        return solve(signal, self.costs, self.execution.unfilled)

    @cached_property
    def _oracle(self) -> Plan:
        return self._plan(self._deviation)

    @cached_property
    def _grid(self) -> F64:
        return self.volatility.grid(_VOLATILITIES)

    @cached_property
    def _seen(self) -> F64:
        """Standard deviation of the filter's mean for each volatility of the grid."""
        gap, fresh = CLOCKS["1m"] / SECOND, 1.0
        if self.pace is not None:
            gap, fresh = self.pace.gap, self.pace.decayed(2.0 * self._law.decay)
        return np.array([math.sqrt(fresh * self._law.explained(v, gap)) for v in self._grid])

    @cached_property
    def _plans(self) -> list[Plan]:
        return [self._plan(float(deviation)) for deviation in self._seen]

    def _interpolate(self, plan: Plan, deviation: float, values: F64) -> F64:
        """[n, 3] a plan's values at deviations [n]."""
        scaled = values / deviation if deviation > 0.0 else np.zeros_like(values)
        return interpolated(self._chain[0], plan.ahead, scaled)

    def _ahead(self, seen: Estimate) -> F64:
        """[n, 3] values at the filter's mean, between the plans of its volatility."""
        place = np.interp(seen.log_volatility, np.log(self._grid), np.arange(len(self._grid)))
        total = np.zeros((len(place), 3))
        for k, plan in enumerate(self._plans):
            weight = np.maximum(0.0, 1.0 - np.abs(place - k))
            near = weight > 0.0
            values = self._interpolate(plan, float(self._seen[k]), seen.mean[near])
            total[near] += weight[near, None] * values
        return total
