"""The optimum of the market in which ETH does what BTC did a delay before."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.evaluation.optimum.chain import worth
from apex_trader.evaluation.optimum.expectation import Expected, over_volatilities
from apex_trader.evaluation.optimum.planted import Hidden, PlantedOptimum
from apex_trader.evaluation.optimum.policy import best_actions
from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.evaluation.optimum.tables import by_stretch
from apex_trader.market.synthetic.grids import COARSE
from apex_trader.time import SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Decisions that a plan looks ahead, at most: what comes later does not change what to do now.
_HORIZON = 120
#: Fill times that a fill's expected price is averaged over. Taken at their mean alone, plans would
#: pick the moments at which the price there is out of line, and no order fills at just that time.
_FILLS = 8
#: Value of a position behind what is known, in costs of a transaction: it lies within ±1, and is
#: as likely up as down. Any size from 0 to 1 earns the same to a thousandth.
_BEYOND = 0.6
#: Volatilities that the expectation is worked out at, and decisions drawn at each.
_VOLATILITIES, _DECISIONS = 5, 20_000


class LeadLagOptimum(PlantedOptimum):
    """What BTC did, ETH has yet to do: the expected path of the next ``delay`` is known.

    At each decision the known path is a deterministic programme, solved backward: it says which
    moves pay for their costs, and which reversals to sit through. Behind it the price is a
    martingale until BTC moves, so a position there is worth as much up as down. The part of the
    state that nobody can act on yet, how that worth is learned, is left out.
    Oracle: BTC's latent price up to the moment. Filter: its prints, and none behind the last.
    """

    def oracle(self, hidden: Hidden, ts: I64) -> F64:
        """See ``PlantedOptimum.oracle``."""
        own = hidden.columns[self.reference]
        # A clairvoyant knows the price at the very moment, prints are known a moment later.
        return self._values(Prints(own["ts"] - 1, own["log_price"]), ts)

    def filtered(self, prints: tuple[Prints, Prints], ts: I64) -> F64:
        """See ``PlantedOptimum.filtered``."""
        return self._values(prints[1], ts)

    def expected(self, rng: np.random.Generator) -> Expected:
        """See ``PlantedOptimum.expected``: drawn, for want of a chain of few states."""
        grid = self.volatility.grid(_VOLATILITIES)
        drawn = [self._drawn(float(value), rng) for value in grid]
        days = self.execution.decisions_per_day
        oracle, seen = (
            over_volatilities(self.volatility, grid, np.array([d[k] for d in drawn]) * days)
            for k in (0, 1)
        )
        return Expected(oracle[0], seen[0], oracle[1], seen[1])

    @property
    def _beta(self) -> float:
        return math.sqrt(self.parameters["coupling"]) / float(self.parameters["btc_ratio"])

    def _values(self, leader: Prints, ts: I64) -> F64:
        return by_stretch(len(ts), lambda rows: self._value(leader, ts[rows]))

    def _value(self, leader: Prints, ts: I64) -> F64:
        whole, rest = self._known(leader, ts)
        costs, unfilled = self.costs, self.execution.unfilled
        ahead = _look_ahead(
            whole, rest, costs.allowed(), costs.exposure, costs.leg, unfilled, _BEYOND
        )
        return worth(whole[:, 0], rest[:, 0], ahead, costs, unfilled)

    def _known(self, leader: Prints, ts: I64) -> tuple[F64, F64]:
        """Expected log returns [n, steps] of the coming intervals, and their parts behind fills."""
        interval, delay = self.execution.interval, float(self.parameters["delay"])
        steps = min(math.ceil(delay / interval), _HORIZON)
        edges = np.arange(steps + 1, dtype=np.float64) * interval - delay
        fills = (edges[:-1, None] + self.execution.typical_delays(_FILLS)).ravel()
        path = self._follower(leader, ts, edges)
        filled = self._follower(leader, ts, fills).reshape(len(ts), steps, -1).mean(axis=2)
        return np.diff(path, axis=1), path[:, 1:] - filled

    def _follower(self, leader: Prints, ts: I64, seconds: F64) -> F64:
        """[n, m] what the leader, as far as it is known, makes of ETH some seconds from ``ts``.

        ETH follows the leader's price at whole steps of the latent grid, straight in between.
        """
        if not len(leader):
            return np.zeros((len(ts), len(seconds)))
        place = np.maximum(leader.before(ts), 0)[:, None]
        last, newest = leader.ts[place], leader.log_price[place]
        step = SECOND if self.pace is not None else COARSE
        whole = last // step * step
        at = np.minimum(ts[:, None] + np.rint(seconds * SECOND).astype(np.int64), last)
        edges = np.arange(leader.ts[0] // step * step, leader.ts[-1] + step, step)
        known = np.interp(at, edges, np.interp(edges, leader.ts, leader.log_price))
        # Behind the last whole step nothing is known but the newest print.
        turn = np.interp(whole, leader.ts, leader.log_price)
        share = (at - whole) / np.maximum(last - whole, 1)
        path: F64 = self._beta * np.where(at > whole, turn + share * (newest - turn), known)
        return path

    def _drawn(self, volatility: float, rng: np.random.Generator) -> tuple[F64, F64]:
        """(gain, its error) of a decision to the oracle and to the filter, at one volatility."""
        interval = round(self.execution.interval * SECOND)
        delay = round(float(self.parameters["delay"]) * SECOND)
        ts = 2 * delay + np.arange(1, _DECISIONS + 1, dtype=np.int64) * interval
        latent, prints = self._leader(volatility, ts, rng)
        whole, rest = self._known(latent, ts)
        gains = []
        for leader in (latent, prints):
            best = best_actions(self._values(leader, ts), self.costs.actions)
            wanted = self.costs.actions.wanted[np.arange(3), best]
            filled = rng.random(len(ts)) >= self.execution.unfilled
            gains.append(
                _earned(whole[:, 0], rest[:, 0], wanted, filled, self.costs.exposure,
                        self.costs.leg)
            )  # fmt: skip
        return _mean_and_error(gains[0]), _mean_and_error(gains[1])

    def _leader(
        self, volatility: float, ts: I64, rng: np.random.Generator
    ) -> tuple[Prints, Prints]:
        """BTC's latent price wherever it is asked for, and as it prints, at one volatility."""
        step = SECOND if self.pace is not None else COARSE
        first = int(ts[0]) - round((self.parameters["delay"] + self.execution.interval) * SECOND)
        edges = np.arange(first // step * step, int(2 * ts[-1] - ts[-2]) + 1, step)
        times = edges
        if self.pace is not None:
            rate = self.pace.at(float(self.relative(np.array([volatility]))[0]))
            count = rng.poisson(rate * (edges[-1] - edges[0]) / SECOND)
            times = rng.integers(edges[0], edges[-1], count)
        every = _sorted(np.concatenate([times, edges]))
        sigma = volatility * self.parameters["btc_ratio"]
        steps = sigma * np.sqrt(np.diff(every) / SECOND) * rng.standard_normal(len(every) - 1)
        price = np.append(0.0, np.cumsum(steps))
        latent, seen = (
            Prints(at - 1, price[np.searchsorted(every, at)]) for at in (edges, _sorted(times))
        )
        return latent, seen


def _sorted(times: I64) -> I64:
    """Times in order, each once."""
    ordered = np.sort(times)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))]


def _mean_and_error(gains: F64) -> F64:
    """[2] mean and standard error, from 50 stretches one after another."""
    stretches = np.array([part.mean() for part in np.array_split(gains, 50)])
    return np.array([stretches.mean(), stretches.std(ddof=1) / math.sqrt(len(stretches))])


@njit(cache=True, nogil=True)
def _best(value: F64, held: int, rest: float, allowed: NDArray[np.bool_], exposure: float,
          leg: float) -> float:  # fmt: skip
    """The best that can be made of a decision: value [3] of the positions behind it."""
    best = -np.inf
    for wanted in range(3):
        if allowed[held, wanted]:
            change = wanted - held
            best = max(best, exposure * (change * rest - leg * abs(change)) + value[wanted])
    return best


@njit(cache=True, nogil=True)
def _look_ahead(whole: F64, rest: F64, allowed: NDArray[np.bool_], exposure: float, leg: float,
                unfilled: float, beyond: float) -> F64:  # fmt: skip
    """[n, 3] value of leaving a decision with each position, the next returns being known."""
    n, steps = whole.shape
    ahead = np.zeros((n, 3))
    value, before = np.empty(3), np.empty(3)
    for row in range(n):
        for side in (-1.0, 1.0):
            for held in range(3):
                value[held] = exposure * leg * side * beyond * (held - 1)
            for step in range(steps - 1, 0, -1):
                for held in range(3):
                    best = _best(value, held, rest[row, step], allowed, exposure, leg)
                    kept = exposure * (held - 1) * whole[row, step]
                    before[held] = kept + (1.0 - unfilled) * best + unfilled * value[held]
                value[:] = before
            ahead[row] += 0.5 * value
    return ahead


@njit(cache=True, nogil=True)
def _earned(whole: F64, rest: F64, wanted: NDArray[np.int8], filled: NDArray[np.bool_],
            exposure: float, leg: float) -> F64:  # fmt: skip
    """[n] expected log return of each decision of a policy ``wanted`` [n, 3], from flat."""
    earned, position = np.empty(len(whole)), 0
    for row in range(len(whole)):
        earned[row] = exposure * position * whole[row]
        change = wanted[row, position + 1] - position
        if filled[row]:
            earned[row] += exposure * (change * rest[row] - leg * abs(change))
            position += change
    return earned
