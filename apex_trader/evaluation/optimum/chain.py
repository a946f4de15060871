"""Average-reward dynamic programming: when to change a position, at a cost, on a Markov signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from apex_trader.errors import ApexError
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Positions, in the order of every table here.
POSITIONS = np.array([-1.0, 0.0, 1.0])
#: Rounds after which policy iteration must have ended; it takes about ten.
_ROUNDS = 100
#: Log returns that differ by less are the same: rounding must not swap equal wishes for ever.
_SAME = 1e-11
#: Chance a decision that the account starts anew, flat and for nothing. Where a position is never
#: worth leaving, it makes one class of states of three; it is worth 1e-9 of a transaction's cost.
_RESTART = 1e-9


@dataclass(frozen=True)
class Costs:
    """What trading costs, in logs of equity: the simulator's log account.

    exposure: position value over equity. leg: log cost of one transaction, per unit of exposure.
    actions: what can be asked for.
    """

    exposure: float
    leg: float
    actions: Actions

    @classmethod
    def of(cls, trading: TradingConfig) -> Costs:
        """Of a trading configuration. Lots and ticks are too small to plan for."""
        return cls(trading.exposure, trading.fee + trading.slippage_bps * 1e-4, Actions.of(trading))

    def allowed(self) -> NDArray[np.bool_]:
        """[3, 3]: the position of the second index can be asked for in that of the first."""
        table = np.zeros((3, 3), np.bool_)
        for held in range(3):
            table[held, self.actions.wanted[held].astype(np.int64) + 1] = True
        return table


@dataclass(frozen=True)
class Signal:
    """A Markov chain of n states at decision times, and the log returns to be expected of each.

    transition [n, n] sparse, rows sum to 1: one decision interval. whole [n]: expected log return
    of the market over the interval that begins. rest [n]: its part behind the fill. Both are
    given the state at the decision.
    """

    transition: sparse.csr_matrix
    whole: F64
    rest: F64


@dataclass(frozen=True)
class Plan:
    """The best policy on a signal.

    gain: expected log return of a decision interval under it, net of costs. ahead [n, 3]: value,
    relative to one constant, of leaving a decision in state n with each position: all that comes
    at later decisions.
    """

    gain: float
    ahead: F64


def worth(whole: F64, rest: F64, ahead: F64, costs: Costs, unfilled: float) -> F64:
    """[n, 3, 3] value of asking for a position (last) in a state and with a position held.

    whole, rest [n] as in ``Signal``, ahead [n, 3] as in ``Plan``; -inf where it cannot be asked.
    With fill τ between decisions t and t': the position held earns the whole interval, the change
    earns [τ, t'] and pays its cost; an order that is not filled changes nothing.
    """
    change = POSITIONS[None, :] - POSITIONS[:, None]
    held = POSITIONS[None, :, None] * whole[:, None, None]
    traded = change * rest[:, None, None] - costs.leg * np.abs(change)
    filled = costs.exposure * traded + ahead[:, None, :]
    value = costs.exposure * held + (1.0 - unfilled) * filled + unfilled * ahead[:, :, None]
    return np.where(costs.allowed(), value, -np.inf)


def solve(signal: Signal, costs: Costs, unfilled: float, like: Plan | None = None) -> Plan:
    """Howard's policy iteration for the average reward (Puterman 1994, section 8.6).

    Exact on the chain: each round solves the linear equations of the present policy's values.
    like: the plan of a similar signal, to start from.
    """
    ahead = np.zeros((len(signal.whole), 3)) if like is None else like.ahead
    chosen = _greedy(signal, ahead, costs, unfilled)
    for _ in range(_ROUNDS):
        gain, values = _evaluate(signal, chosen, costs, unfilled)
        ahead = signal.transition @ values
        better = worth(signal.whole, signal.rest, ahead, costs, unfilled)
        kept = np.take_along_axis(better, chosen[:, :, None], axis=2)[:, :, 0]
        improved = better.max(axis=2) > kept + _SAME
        if not improved.any():
            return Plan(gain, ahead - ahead[:, 1:2].mean())
        chosen = np.where(improved, better.argmax(axis=2), chosen)
    raise ApexError("policy iteration did not settle: the chain's rows must be probabilities")


def _greedy(signal: Signal, ahead: F64, costs: Costs, unfilled: float) -> I64:
    """[n, 3] the best position to ask for in each state and position held."""
    chosen: I64 = worth(signal.whole, signal.rest, ahead, costs, unfilled).argmax(axis=2)
    return chosen


def _evaluate(signal: Signal, chosen: I64, costs: Costs, unfilled: float) -> tuple[float, F64]:
    """(gain, values [n, 3] at decisions) of a policy, the first value being 0."""
    n = len(signal.whole)
    nothing = np.zeros((n, 3))
    reward = worth(signal.whole, signal.rest, nothing, costs, unfilled)
    earned = np.take_along_axis(reward, chosen[:, :, None], axis=2).ravel()
    state, held = np.divmod(np.arange(3 * n), 3)
    rows = np.concatenate([np.arange(3 * n)] * 2)
    after = np.concatenate([state * 3 + chosen.ravel(), state * 3 + held])
    share = np.concatenate([np.full(3 * n, 1.0 - unfilled), np.full(3 * n, unfilled)])
    into = sparse.csr_matrix((share, (rows, after)), (3 * n, 3 * n))
    step = into @ sparse.kron(signal.transition, sparse.identity(3), format="csr")
    step = (1.0 - _RESTART) * step + _RESTART * _restart(signal.transition)
    # (I - P)v + g = r with v[0] = 0: the first column, which it leaves free, carries the gain.
    equations = sparse.identity(3 * n, format="csc") - step.tocsc()
    gains = sparse.csc_matrix(np.ones((3 * n, 1)))
    solution = spsolve(sparse.hstack([gains, equations[:, 1:]], format="csc"), earned)
    gain = float(solution[0])
    solution[0] = 0.0
    return gain, solution.reshape(n, 3)


def _restart(transition: sparse.csr_matrix) -> sparse.csr_matrix:
    """[3n, 3n] the market's step with the position gone."""
    flat = sparse.csr_matrix(np.repeat([[0.0, 1.0, 0.0]], 3, axis=0))
    return sparse.kron(transition, flat, format="csr")
