"""Random walks that keep a minute's open, high, low and close, alone or two together.

A path between given extremes could be drawn in many ways, and most of them tell where the minute
will end: a path that hurries to its high in time, or one that drifts to its close, can be traded.
Here it is drawn from the *conditional law* of a driftless walk given the minute. The walk goes over
cells half as wide as what 5 s move, which alone foretells a hundredth of it at the extremes: it is
where ``settling`` starts from.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I8 = NDArray[np.int8]

#: Steps of the grid that both symbols walk on in a minute.
STEPS = 120
#: Most steps that a symbol's first trade may come late on the grid, and its last one early.
MOST_LATE = 20
#: Most cells between low and high: any walk can still touch both and come back.
MAX_CELLS = (STEPS - 2 * MOST_LATE) // 3
#: A step's chance to move: cells are made as wide as this asks for.
MOVE_CHANCE = 0.5
#: Variance, in squared cells, that the two ends add to that of the steps, see ``draw_walk``.
END_VARIANCE = 1.0 / 3.0
#: Sweeps of the Gibbs sampler over the two symbols of a minute; ``settling`` goes on with it.
SWEEPS = 4


def lattice(reach: F64, sigma: F64) -> tuple[I64, F64]:
    """(cells [n] between low and high, a step's chance to move [n]) of each minute.

    reach: ln(high/low); sigma: deviation of the minute's log return. A flat minute has one cell.
    The walk stands in a cell while the price is inside it, so cells tile low..high.
    """
    ratio = np.divide(reach, sigma, out=np.zeros_like(reach), where=sigma > 0)
    cells = np.clip(np.rint(ratio * np.sqrt(MOVE_CHANCE * STEPS + END_VARIANCE)), 2, MAX_CELLS)
    chance = (cells * cells / np.maximum(ratio * ratio, 1e-12) - END_VARIANCE) / STEPS
    flat = reach <= 0
    cells[flat], chance[flat] = 1, 0.0
    return cells.astype(np.int64), np.clip(chance, 0.05, 0.8) * ~flat


def place_of(price: F64, low: F64, reach: F64, cells: I64) -> F64:
    """Place [n] of a log price in the cells that tile low..low + reach: whole at their centres."""
    share = np.divide(price - low, reach, out=np.zeros_like(reach), where=reach > 0)
    return np.clip(share * cells - 0.5, -0.5, cells - 0.5)


@njit(cache=True, nogil=True)
def conditional_steps(chance: float, other_chance: float, correlation: float) -> F64:
    """P(step | other's step) [4, 3]: rows are the other's step -1, 0, 1 and unknown.

    Both steps are -1, 0 or 1, up as likely as down. Their joint law mixes independent and
    comonotone steps so that they have the correlation, as far as their chances to move allow.
    """
    table = np.empty((4, 3))
    half, other = 0.5 * chance, 0.5 * other_chance
    own = np.array([half, 1.0 - chance, half])
    table[3] = own
    least = min(chance, other_chance)
    if least <= 0.0:
        for row in range(3):
            table[row] = own
        return table
    share = min(abs(correlation) * np.sqrt(chance * other_chance) / least, 1.0)
    together = 0.5 * least
    same = np.zeros((3, 3))
    same[0, 0] = same[2, 2] = together
    same[0, 1] = same[2, 1] = other - together
    same[1, 0] = same[1, 2] = half - together
    same[1, 1] = 1.0 - max(chance, other_chance)
    weight = np.array([other, 1.0 - other_chance, other])
    for row in range(3):
        source = row if correlation >= 0 else 2 - row
        for step in range(3):
            tied = same[source, step] / weight[row]
            table[row, step] = (1.0 - share) * own[step] + share * tied
    return table


@njit(cache=True, nogil=True)
def _filter(
    begin: int, stop: int, last: float, cells: int, table: F64, other: I8, likelihood: F64
) -> None:
    """Fill likelihood[step, 4·(cell + 1) + seen]: of a proper end, given where the walk stands.

    seen: bit 0, the top cell has been visited, bit 1, cell 0 has. Standing in an extreme cell *is*
    having seen it, so there both values of its bit hold the same. The four entries before cell 0
    and after the top cell are 0: nobody leaves.
    """
    end = 4 * (cells + 1)
    likelihood[begin : stop + 1, :4] = 0.0
    likelihood[begin : stop + 1, end : end + 4] = 0.0
    likelihood[stop, 4:end] = 0.0
    below = math.floor(last)
    for cell in range(max(below, 0), min(below + 2, cells)):
        likelihood[stop, 4 * (cell + 1) + 3] = 1.0 - abs(cell - last)
    _see_extremes(likelihood[stop], end)
    for step in range(stop - 1, begin - 1, -1):
        law = table[3] if other[step] == 2 else table[other[step] + 1]
        down, stay, up = law[0], law[1], law[2]
        after, now = likelihood[step + 1], likelihood[step]
        for i in range(4, end):
            now[i] = down * after[i - 4] + stay * after[i] + up * after[i + 4]
        _see_extremes(now, end)


@njit(cache=True, nogil=True)
def _see_extremes(row: F64, end: int) -> None:
    row[end - 4], row[end - 2] = row[end - 3], row[end - 1]
    row[4], row[5] = row[6], row[7]


@njit(cache=True, nogil=True)
def draw_walk(
    begin: int,
    stop: int,
    first: float,
    last: float,
    cells: int,
    table: F64,
    other: I8,
    uniform: F64,
    likelihood: F64,
    walk: I64,
) -> None:
    """A walk over the steps begin..stop of the grid that visits cell 0 and cell cells - 1.

    first, last: places of open and close, see ``place_of``. A Brownian motion that starts between
    two centres comes to the nearer one first, in proportion to the distances, and by symmetry in
    time leaves the last one alike: so the walk begins and ends in either cell beside its end, with
    these weights, and the step from open to first cell has mean zero as any other. table: see
    ``conditional_steps``; other [STEPS] the other symbol's steps (-1, 0, 1; 2 unknown); uniform
    [STEPS + 1] random numbers; likelihood [STEPS + 1, 4·(cells + 2)] room to work in; walk
    [STEPS + 1] the result, constant before ``begin`` and after ``stop``. Backward filtering,
    forward sampling over (cell, extremes seen): exact.
    """
    _filter(begin, stop, last, cells, table, other, likelihood)
    below = math.floor(first)
    weights = np.zeros(2)
    for i in range(2):
        if 0 <= below + i < cells:
            weights[i] = (1.0 - abs(below + i - first)) * likelihood[begin, 4 * (below + i + 1)]
    cell = below if uniform[STEPS] * (weights[0] + weights[1]) < weights[0] else below + 1
    seen = 0
    walk[: begin + 1] = cell
    for step in range(begin, stop + 1):
        if step > begin:
            law = table[3] if other[step - 1] == 2 else table[other[step - 1] + 1]
            here = 4 * (cell + 1) + seen
            down = law[0] * likelihood[step, here - 4]
            stay = law[1] * likelihood[step, here]
            up = law[2] * likelihood[step, here + 4]
            point = uniform[step - 1] * (down + stay + up)
            if point < down:
                cell -= 1
            elif point >= down + stay and up > 0.0:
                cell += 1
        if cell == cells - 1:
            seen |= 1
        if cell == 0:
            seen |= 2
        walk[step] = cell
    walk[stop + 1 :] = cell


@njit(cache=True, nogil=True)
def draw_walks(
    first: F64,
    last: F64,
    cells: I64,
    chance: F64,
    late: I64,
    early: I64,
    correlation: float,
    rng: np.random.Generator,
) -> I64:
    """Walks of two symbols through the same minutes, [2, minutes, STEPS + 1] cells.

    first, last [2, minutes] places of open and close, see ``place_of``; cells, chance [2, minutes]:
    see ``lattice``; chance is 0 where a minute is flat or absent: its symbol then says nothing of
    the other's. correlation: of the steps. late, early [2, minutes]: steps from the grid's begin to
    a symbol's first trade, and from its last to the grid's end; meanwhile nothing is known of it.

    The two are drawn in turn given each other (Gibbs sampling, Geman & Geman 1984), so that the
    pair too is driftless: drawn apart, either symbol would foretell the other's close.
    """
    minutes = first.shape[1]
    walks = np.zeros((2, minutes, STEPS + 1), np.int64)
    likelihood = np.empty((STEPS + 1, 4 * (MAX_CELLS + 2)))
    moves = np.empty((2, STEPS), np.int8)
    uniform = np.empty(STEPS + 1)
    for m in range(minutes):
        moves[:] = 2
        paired = chance[0, m] > 0.0 and chance[1, m] > 0.0
        for turn in range(2 * SWEEPS if paired else 2):
            k = turn % 2
            if chance[k, m] <= 0.0:
                continue
            for step in range(STEPS + 1):
                uniform[step] = rng.random()
            table = conditional_steps(chance[k, m], chance[1 - k, m], correlation)
            begin, stop = late[k, m], STEPS - early[k, m]
            draw_walk(
                begin, stop, first[k, m], last[k, m], cells[k, m], table, moves[1 - k], uniform,
                likelihood, walks[k, m],
            )  # fmt: skip
            for step in range(begin, stop):
                moves[k, step] = walks[k, m, step + 1] - walks[k, m, step]
    return walks
