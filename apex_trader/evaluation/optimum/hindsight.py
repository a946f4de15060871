"""The best that could have been made of a period, its prices known: no policy beats it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.evaluation.backtest import episode_starts
from apex_trader.evaluation.optimum.policy import TablePolicy
from apex_trader.trading.account import Rules
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Hindsight:
    """The best sequence of positions over a period.

    policy: takes it, and from any other position the best way on. log_return: of the log account,
    from flat at the start to flat behind the end, net of all costs.
    """

    policy: TablePolicy
    log_return: float


def hindsight(path: MarketPath, trading: TradingConfig, carried: bool = True) -> Hindsight:
    """Dynamic programming on the realised fills of a path, backward over rows × positions.

    carried: one account over nights and gaps, as ``run_continuous``; otherwise every episode
    begins flat, as in ``run_episodes``, and the best of each is added up. Both leave what is open
    at the end at the last mark, and pay for it.

    An upper bound for every sequence of actions on the log account (position · log return less
    fees, slippage and funding, orders unfilled where they were): exact, with any exposure, lots
    and minimum notional on ``target``; on ``sell_buy``, whose orders cannot leave an account flat
    that is flat, as long as no order is too small and no account ruined. The quote account keeps
    its quantity while a position is held and compounds, so its log equity differs by terms of
    second order: there it is the reference, not a bound.
    """
    rows = path.arrays.view(np.ndarray)
    starts = episode_starts(path)
    jump = np.full(len(rows), -1, np.int64)
    ends = _episode_ends(rows["next_row"], starts)
    if carried:
        jump[ends[:-1]] = starts[1:]
    value, best = _backward(rows, jump, Actions.of(trading).wanted, Rules.of(trading))
    begin = starts[:1] if carried else starts
    return Hindsight(TablePolicy("hindsight optimum", best), float(value[begin, 1].sum()))


def _episode_ends(next_row: I64, starts: I64) -> I64:
    """Last row of each episode: no row leads on from it."""
    stops = np.flatnonzero(next_row < 0)
    return stops[np.searchsorted(stops, starts)]


@njit(cache=True, nogil=True)
def _step_return(now: Any, later: Any, before: int, after: int, rules: Rules) -> float:
    """Log return of a step: the simulator's ``core``."""
    late = now.fill_ts >= later.ts
    core = before * (later.mark - now.mark)
    if after != before:
        core += (after - before) * (later.mark - now.fill_price)
        core -= abs(after - before) * (rules.fee + rules.slippage)
    if rules.funding:
        core -= (before if late else after) * now.funding
    return float(rules.exposure * core)


@njit(cache=True, nogil=True)
def _backward(rows: NDArray[Any], jump: I64, wanted: NDArray[np.int8],
              rules: Rules) -> tuple[F64, NDArray[np.uint8]]:  # fmt: skip
    """(value [n, 3] of standing at each row with each position, best action [n, 3])."""
    n, actions = len(rows), wanted.shape[1]
    value, best = np.zeros((n, 3)), np.zeros((n, 3), np.uint8)
    for row in range(n - 1, -1, -1):
        now = rows[row]
        for held in range(3):
            position = held - 1
            if now.next_row >= 0:
                later = rows[now.next_row]
                top = -np.inf
                for action in range(actions):
                    after = wanted[held, action]
                    if np.isnan(now.fill_price):
                        after = np.int8(position)
                    gain = _step_return(now, later, position, after, rules)
                    gain += value[now.next_row, after + 1]
                    # Among equals the action that keeps the position.
                    if gain > top or (gain == top and wanted[held, action] == position):
                        top, best[row, held] = gain, action
                value[row, held] = top
            elif jump[row] >= 0:
                later, funding = rows[jump[row]], 0.0
                for passed in range(row, jump[row]):
                    funding += rows[passed].funding
                moved = later.mark - now.mark
                if rules.funding:
                    moved -= funding
                value[row, held] = rules.exposure * position * moved + value[jump[row], held]
            else:
                leg = rules.fee + rules.slippage
                value[row, held] = -rules.exposure * abs(position) * leg
    return value, best
