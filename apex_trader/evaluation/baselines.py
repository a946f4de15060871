"""What an agent has to beat, under the same fills and costs: plans from the market alone.

Each of them knows at a row what the state knows there, and no more; ``random_match`` knows the
agent's own trades besides, since it takes as many, as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import ConfigError
from apex_trader.evaluation.optimum.policy import TablePolicy, best_actions
from apex_trader.evaluation.policies import Policy, hold_baselines, keeping, towards
from apex_trader.evaluation.record import Record
from apex_trader.time import HOUR
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I64 = NDArray[np.int64]

RANDOM: Final = "random"
MOVING_AVERAGE: Final = "moving averages"
PIVOT_TREND: Final = "pivot trend"
LOGISTIC: Final = "logistic regression"


@dataclass(frozen=True)
class CrossConfig:
    """Two moving averages of the price: long while the fast one is above the slow one, else short.

    fast, slow: µs, times that they average over.
    """

    fast: int = HOUR
    slow: int = 6 * HOUR

    def __post_init__(self) -> None:
        if not 0 < self.fast < self.slow:
            raise ConfigError(
                "evaluation.cross.fast", self.fast, f"above 0, below the slow one's {self.slow} µs"
            )


def wanted_policy(name: str, wanted: I8, actions: Actions) -> TablePolicy:
    """Asks for a position −1, 0, 1 at each row [n], whatever is held."""
    return TablePolicy(name, towards(actions)[:, wanted.astype(np.int64) + 1].T.copy())


def rule_baselines(
    path: MarketPath, trading: TradingConfig, cross: CrossConfig | None = None
) -> list[Policy]:
    """Flat, buy and hold, sell and hold, moving-average cross and pivot trend."""
    actions = Actions.of(trading)
    return [
        *hold_baselines(actions),
        moving_average_cross(path, actions, cross or CrossConfig()),
        pivot_trend(path, actions),
    ]


def moving_average_cross(path: MarketPath, actions: Actions, config: CrossConfig) -> TablePolicy:
    """Simple moving averages of ln price at decision times; keeps what is held until the slow one
    is full: flat, where an action for it is there.

    An average is of the decisions of the time before, as many as there were: a gap shortens it.
    """
    rows = path.arrays.view(np.ndarray)
    known = np.flatnonzero(np.isfinite(rows["mark"]) & _visited(path))
    ts, mark = rows["ts"][known], rows["mark"][known]
    # Differences of averages do not care for the level; small numbers add up exactly enough.
    total = np.concatenate([[0.0], np.cumsum(mark - mark[0])]) if len(mark) else np.zeros(1)
    ahead = _mean_since(ts, total, config.fast) - _mean_since(ts, total, config.slow)
    full = ts - ts[0] >= config.slow if len(ts) else np.zeros(0, np.bool_)
    wanted = np.zeros(len(path), np.int8)
    wanted[known] = np.where(full, np.sign(ahead), 0)
    policy = wanted_policy(MOVING_AVERAGE, wanted, actions)
    if len(known):
        policy.best[: known[full][0] if full.any() else len(path)] = keeping(actions)
    return policy


def pivot_trend(path: MarketPath, actions: Actions) -> TablePolicy:
    """Goes with the trend of confirmed pivots (levels 2 to 4); keeps what it has where they cancel
    out."""
    value = np.zeros((len(path), 3, 3))
    value += path.trend.astype(np.float64)[:, None, None] * np.array([-1.0, 0.0, 1.0])
    return TablePolicy(PIVOT_TREND, best_actions(_allowed(value, actions), actions))


def expected_move_policy(name: str, move: F64, trading: TradingConfig) -> TablePolicy:
    """The position with the best expected log return ``move`` [n] of the time ahead, less the cost
    of getting there; NaN where nothing is expected: what is held is kept."""
    positions = np.array([-1.0, 0.0, 1.0])
    cost = trading.fee + trading.slippage_bps * 1e-4
    value = np.nan_to_num(move)[:, None, None] * positions[None, None, :]
    value = value - cost * np.abs(positions[None, :] - positions[:, None])[None]
    actions = Actions.of(trading)
    return TablePolicy(name, best_actions(_allowed(value, actions), actions))


def random_match(
    path: MarketPath, record: Record, trading: TradingConfig, random: np.random.Generator
) -> TablePolicy:
    """Trades as often and as long as ``record`` did on the path, at random times and sides.

    The record's spells in a position are put in another order, likewise its spells without one,
    and every chain of positions that were turned into each other begins on a random side, long as
    often as in the record. Count of orders and multiset of holding times stay what they were.
    """
    at, position = _decided(path, record)
    wanted = np.zeros(len(path), np.int8)
    wanted[at] = shuffled_spells(position, random)
    return wanted_policy(RANDOM, _kept(wanted, at), Actions.of(trading))


def shuffled_spells(position: I8, random: np.random.Generator) -> I8:
    """[n] another sequence with the spells of a sequence of −1, 0, 1; see ``random_match``."""
    if not len(position):
        return position
    cuts = np.flatnonzero(np.diff(position)) + 1
    lengths = np.diff(np.concatenate([[0], cuts, [len(position)]]))
    sign = position[np.concatenate([[0], cuts])]
    held = sign != 0
    lengths[held] = random.permutation(lengths[held])
    lengths[~held] = random.permutation(lengths[~held])
    starts = held & ~np.concatenate([[False], held[:-1]])
    chain = np.cumsum(starts) - 1
    share = float((position == 1).sum() / max((position != 0).sum(), 1))
    turned = np.where(random.random(int(starts.sum())) < share, 1, -1) * sign[starts]
    sign = sign.copy()
    sign[held] = sign[held] * turned[chain[held]]
    shuffled: I8 = np.repeat(sign, lengths)
    return shuffled


def executed_positions(path: MarketPath, record: Record) -> I8:
    """[n] the position that a record held behind each row of its path, kept where it decided
    nothing."""
    at, position = _decided(path, record)
    wanted = np.zeros(len(path), np.int8)
    wanted[at] = position
    held: I8 = _kept(wanted, at)
    return held


def cross_text(config: CrossConfig) -> str:
    """The rule in words."""
    fast, slow = config.fast / HOUR, config.slow / HOUR
    return f"long while the average price of {fast:g} h is above that of {slow:g} h, else short"


def _allowed(value: F64, actions: Actions) -> F64:
    """−inf for positions that an account cannot be asked to take from the one it has."""
    for held in range(3):
        for wanted in (-1, 0, 1):
            if wanted not in actions.wanted[held]:
                value[:, held, wanted + 1] = -np.inf
    return value


def _visited(path: MarketPath) -> NDArray[np.bool_]:
    """[n] rows that an account may stand at."""
    seen = path.startable.copy()
    seen[path.arrays.next_row[path.startable]] = True
    return seen


def _mean_since(ts: I64, total: F64, span: int) -> F64:
    """[n] mean over (ts − span, ts] of what ``total`` [n + 1] sums up."""
    first = np.searchsorted(ts, ts - span, side="right")
    count = np.arange(1, len(ts) + 1)
    mean: F64 = (total[count] - total[first]) / (count - first)
    return mean


def _decided(path: MarketPath, record: Record) -> tuple[I64, I8]:
    """(rows of the path at which the record decided, its position behind each)."""
    at = np.searchsorted(path.arrays.ts, record.ts)
    return at, record.position.astype(np.int8)


@njit(cache=True, nogil=True)
def _kept(wanted: I8, at: I64) -> I8:
    """Fills what lies behind each row of ``at`` with its value, up to the next one."""
    for k in range(len(at)):
        stop = at[k + 1] if k + 1 < len(at) else len(wanted)
        for row in range(at[k] + 1, stop):
            wanted[row] = wanted[at[k]]
    return wanted
