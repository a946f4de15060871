"""The agent's positions against other days' market: what timing is worth, and what luck would be.

A day's positions earn, at each decision, the move from that decision's fill to the next one. Held
against the market of another day they keep everything – how often, how long, which side – but the
connection with the market, so the spread over shuffled days is that of an agent without skill.
Days are shuffled in blocks, which leaves slow trends of the market and of the agent in place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.baselines import executed_positions
from apex_trader.evaluation.missing import NOT_ENOUGH, Figure
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.statistics import MIN_DAYS
from apex_trader.time import DAY
from apex_trader.trading.path import MarketPath

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Placebo:
    """Mean log returns a day within days, before costs, which are the same on either side.

    actual: on the agent's own days. mean, low, high: mean and 95% range over shuffled days.
    p_value: chance of the actual one or more without skill, (1 + draws as good) / (1 + draws).
    days, draws, block: days, how often they were shuffled, and days in a block.
    """

    actual: Figure
    mean: Figure
    low: Figure
    high: Figure
    p_value: Figure
    days: int
    draws: int
    block: int


def placebo(
    path: MarketPath, record: Record, draws: int, random: np.random.Generator, block: int = 1
) -> Placebo:
    """Shuffle the market's days ``draws`` times under the positions of a record of the path."""
    positions, moves = _by_day(path, executed_positions(path, record))
    days = len(moves)
    if days < MIN_DAYS:
        lacking = Figure.lacking(NOT_ENOUGH, f"{days} of at least {MIN_DAYS} days")
        return _lacking(lacking, days, block)
    if not positions.any():
        lacking = Figure.lacking("no position was held")
        return _lacking(lacking, days, block)
    earned = positions @ moves.T / days  # [day of the positions, day of the market]
    actual = float(np.trace(earned))
    chance = np.array([
        earned[np.arange(days), _shuffled(days, block, random)].sum() for _ in range(draws)
    ])  # fmt: skip
    low, high = np.quantile(chance, [0.025, 0.975])
    # what differs by rounding alone is the same: the days may have come out in their order
    as_good = int((chance >= actual - 1e-12).sum())
    return Placebo(
        Figure(actual), Figure(float(chance.mean())), Figure(float(low)), Figure(float(high)),
        Figure((1 + as_good) / (1 + draws)), days, draws, block,
    )  # fmt: skip


def _lacking(why: Figure, days: int, block: int) -> Placebo:
    return Placebo(why, why, why, why, why, days, 0, block)


def _shuffled(days: int, block: int, random: np.random.Generator) -> NDArray[np.int64]:
    """[days] the days in blocks of another order, cut at a random place of the circle."""
    turned = np.roll(np.arange(days), int(random.integers(days)))
    blocks = np.array_split(turned, max(days // block, 1))
    return np.concatenate([blocks[i] for i in random.permutation(len(blocks))])


def _by_day(path: MarketPath, position: NDArray[np.int8]) -> tuple[F64, F64]:
    """([days, decisions a day] positions behind each decision, log return from its fill to the
    next one); both 0 where nothing can be decided."""
    rows = path.arrays.view(np.ndarray)
    at = np.flatnonzero(path.startable)
    following = rows["next_row"][at]
    price = np.where(np.isnan(rows["fill_price"]), rows["mark"], rows["fill_price"])
    # the last row of an episode fills nothing that the agent decides: it ends at its mark
    end = np.where(path.startable[following], price[following], rows["mark"][following])
    day, of_day = np.unique(rows["ts"][at] // DAY, return_inverse=True)
    step = int(np.min(rows["ts"][following] - rows["ts"][at])) if len(at) else DAY
    place = rows["ts"][at] % DAY // step
    shape = (len(day), int(place.max()) + 1 if len(at) else 0)
    moves, held = np.zeros(shape), np.zeros(shape)
    moves[of_day, place] = end - price[at]
    held[of_day, place] = position[at]
    return held, moves
