"""How long a minute waits for its first trade, and is silent after its last one.

Two symbols do not trade at the same instants. The one whose first trade of a minute comes later has
seen more of the move that both share: its open tells where the other is bound. On a tape whose
minutes all began at once that would be a forecast (a trace of 0.008 bp per 5 s of martingale
minutes, far above what 100 days cannot tell from nothing); on one where they begin when they did,
the other has moved by then. The times are not in the bars, so they are drawn given the gaps from
each close to the next open, which long waits make wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.bridge import MOST_LATE, STEPS

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

#: Waits proposed for each boundary between minutes; one is chosen by how well it fits the gaps.
PROPOSALS = 64


@dataclass(frozen=True)
class Waits:
    """When the symbols' trades of each minute begin and end, in steps of the walk's grid.

    before, after [n]: from the minute's begin to the first trade of either symbol, and from the
    last one to its end. first, last [symbols, n]: places of each symbol's own first and last trade
    on the grid of STEPS between those.
    """

    before: F64
    after: F64
    first: F64
    last: F64


def draw_waits(
    rate: F64, gap: F64, sigma: F64, bounce: F64, correlation: float, rng: np.random.Generator
) -> Waits:
    """Draw the waits of consecutive minutes.

    rate [symbols, n]: orders per step, 0 where a symbol is absent; gap [symbols, n + 1]: see
    ``Waits``; sigma [symbols, n]: deviation of each minute's log return; bounce [symbols, n]:
    variance of a gap that is due to ticks alone. Orders are taken to arrive as a Poisson process,
    and the proposals are weighed by the normal density of the gaps given the waits.
    """
    symbols, n = rate.shape
    front = _behind(sigma), _behind(rate), _behind(bounce)
    back = _ahead(sigma), _ahead(rate), _ahead(bounce)
    shape = (symbols, n + 1, PROPOSALS)
    silent = rng.exponential(1.0, shape) / np.maximum(front[1], 1e-9)[:, :, None]
    wait = rng.exponential(1.0, shape) / np.maximum(back[1], 1e-9)[:, :, None]
    silent, wait = (np.minimum(steps, STEPS / 4.0) for steps in (silent, wait))
    weight = _likelihood(gap, front[0], back[0], front[2] + back[2], silent, wait, correlation)
    point = rng.random((n + 1, 1)) * weight.sum(axis=1, keepdims=True)
    chosen = np.minimum((np.cumsum(weight, axis=1) < point).sum(axis=1), PROPOSALS - 1)
    pick = np.broadcast_to(chosen[None, :, None], (symbols, n + 1, 1))
    silent = np.take_along_axis(silent, pick, axis=2)[:, :, 0]
    wait = np.take_along_axis(wait, pick, axis=2)[:, :, 0]
    before, late = _common(wait[:, :-1], rate > 0)
    after, early = _common(silent[:, 1:], rate > 0)
    return Waits(before, after, late, STEPS - early)


def _behind(values: F64) -> F64:
    """Of the minute in front of each boundary [symbols, n + 1], 0 in front of the first."""
    return np.concatenate([np.zeros((len(values), 1)), values], axis=1)


def _ahead(values: F64) -> F64:
    return np.concatenate([values, np.zeros((len(values), 1))], axis=1)


def _likelihood(
    gap: F64, front: F64, back: F64, bounce: F64, silent: F64, wait: F64, correlation: float
) -> F64:
    """Density [n + 1, proposals] of the gaps given the waits, up to a factor of each boundary."""
    share = 1.0 / STEPS
    front, back = front[:, :, None], back[:, :, None]
    known = ~np.isnan(gap)[:, :, None]
    moved = np.nan_to_num(gap)[:, :, None]
    variance = (front**2 * silent + back**2 * wait) * share + bounce[:, :, None] + 1e-18
    if len(gap) == 1:
        return np.asarray(np.where(known[0], np.exp(_normal(moved[0], variance[0])), 1.0))
    both = known.all(axis=0)
    together = front[0] * front[1] * silent.min(axis=0) + back[0] * back[1] * wait.min(axis=0)
    covariance = np.where(both, correlation * share * together, 0.0)
    # the second given the first
    slope = covariance / variance[0]
    rest = np.maximum(variance[1] - slope * covariance, 1e-3 * variance[1])
    first = np.where(known[0], _normal(moved[0], variance[0]), 0.0)
    second = np.where(known[1], _normal(moved[1] - slope * moved[0], rest), 0.0)
    level = first + second
    return np.asarray(np.exp(level - level.max(axis=1, keepdims=True)))


def _normal(value: F64, variance: F64) -> F64:
    return np.asarray(-0.5 * (value * value / variance + np.log(variance)))


def _common(wait: F64, present: Bool) -> tuple[F64, F64]:
    """(the shortest wait of those present [n], each one's steps beyond it [symbols, n])."""
    shortest = np.where(present, wait, np.inf).min(axis=0)
    shortest = np.where(np.isfinite(shortest), shortest, 0.0)
    beyond = np.where(present, wait - shortest, 0.0)
    return shortest, np.minimum(beyond, MOST_LATE)
