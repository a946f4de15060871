"""The orders of a minute: how many there are, and where in its walk they fall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.bridge import EDGE_CELLS, STEPS
from apex_trader.market.synthetic.targets import Minutes
from apex_trader.market.synthetic.waits import Waits

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

#: Kinds of orders: drawn ones, and those that make the bar.
DRAWN, OPEN, HIGH, LOW, CLOSE = range(5)
#: Deviation of the log mean of a cluster's orders, and of an order's trades.
COUNT_SPREAD = 1.2
#: Mean delay of an order behind the first one of its cluster, steps.
CLUSTER_DELAY = 0.1
#: Chance that an order of a cluster has the side of the cluster.
CLUSTER_SIDE = 0.85
#: Share of the variance of log amounts that a cluster's trades have in common.
CLUSTER_AMOUNT = 0.5
#: Longest wait for a minute's first trade, and silence after its last, as a share of the minute.
MOST_SILENT = 0.25


@dataclass(frozen=True)
class InsideLaw:
    """How trades lie inside minutes; fields as in the parameters of the same names."""

    trades_per_second: float
    sweep: float
    cluster: float
    burstiness: float
    amount_dispersion: float
    flow: float
    spread_ticks: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> InsideLaw:
        """The tape's part of the resolved parameters."""
        return cls(**{f.name: parameters[f.name] for f in fields(cls)})

    def orders(self, minutes: Minutes) -> F64:
        """Mean number of orders [n]: from the bars' trades, where they tell, else by volume."""
        trades = 60.0 * self.trades_per_second * minutes.activity
        known = ~np.isnan(minutes.count) & (minutes.count > 0)
        return np.where(known, np.where(known, minutes.count, 0.0), trades) / self.sweep

    def clusters(self, minutes: Minutes) -> F64:
        """Mean number of clusters of orders [n], which arrive as a Poisson process."""
        return self.orders(minutes) / self.cluster

    def pace(self, waits: Waits, rng: np.random.Generator) -> F64:
        """Share of its minute that has passed at each edge of the grid's steps [n, STEPS + 1].

        Steps take log-normal times, so activity and volatility come in bursts. All of it is shared
        by the symbols, for a clock that runs ahead in one would make it foretell the other, and
        knows nothing of where the price goes.
        """
        minutes = len(waits.before)
        taken = np.exp(self.burstiness * rng.standard_normal((minutes, STEPS // 4)))
        passed = np.cumsum(np.repeat(taken, 4, axis=1), axis=1)
        share = np.concatenate([np.zeros((minutes, 1)), passed / passed[:, -1:]], axis=1)
        whole = STEPS + waits.before + waits.after
        before = np.minimum(waits.before / whole, MOST_SILENT)[:, None]
        after = np.minimum(waits.after / whole, MOST_SILENT)[:, None]
        edges: F64 = before + (1.0 - before - after) * share
        return edges


@dataclass(frozen=True)
class Paths:
    """A market's walk through its minutes.

    walks [n, STEPS + 1]: cell of the price after each edge of the grid; cells of ``width`` [n]
    stand on the log price ``floor`` [n], ``cells`` [n] of them. part [n, 2, EDGE_CELLS]: see
    ``part_beyond``, above and below. late, early [n]: see ``Waits``. pace [n, STEPS + 1]: see
    ``InsideLaw.pace``.
    """

    walks: I64
    floor: F64
    width: F64
    cells: I64
    part: F64
    late: I64
    early: I64
    pace: F64

    def at(self, minute: I64, place: F64) -> F64:
        """Log price at places of minutes. It moves *at* the edges of steps: one that went from cell
        to cell bit by bit would foretell the rest of its way."""
        cell = self.walks[minute, np.minimum(place.astype(np.int64), STEPS)]
        price: F64 = self.floor[minute] + (cell + 0.5) * self.width[minute]
        return price

    def beyond(self, minute: I64, place: F64) -> F64:
        """Chance of an order to fall where the path is beyond what was traded."""
        cell = self.walks[minute, np.minimum(place.astype(np.int64), STEPS)]
        chance = np.zeros(len(minute))
        for side, depth in ((0, self.cells[minute] - 1 - cell), (1, cell)):
            near = depth < EDGE_CELLS
            chance[near] = np.maximum(chance[near], self.part[minute[near], side, depth[near]])
        return chance

    def cell_of(self, price: F64) -> I64:
        """Visited cell [n] nearest to the one of a log price of each minute."""
        cell = np.divide(price - self.floor, self.width, out=np.zeros_like(price),
                         where=self.width > 0)  # fmt: skip
        cell = np.floor(np.nan_to_num(cell)).astype(np.int64)
        return np.asarray(np.clip(cell, self.walks.min(axis=1), self.walks.max(axis=1)))


@dataclass(frozen=True)
class Orders:
    """Orders by minute and place on the grid.

    minute [n]; place [n] in [0, STEPS]; kind [n]; cluster [n]: which orders belong together.
    """

    minute: I64
    place: F64
    kind: I64
    cluster: I64


def draw_orders(minutes: Minutes, paths: Paths, law: InsideLaw, rng: np.random.Generator) -> Orders:
    """First and last orders, those at the extremes, and drawn ones over the steps between.

    Nobody trades while the path is beyond the minute's extremes.
    """
    walks, late, early = paths.walks, paths.late, paths.early
    traded = np.flatnonzero(minutes.activity > 0)
    first, last = late.astype(np.float64), STEPS - early.astype(np.float64)
    minute, place, cluster = _drawn(traded, first, last, law.clusters(minutes), law, rng)
    kept = rng.random(len(minute)) >= paths.beyond(minute, place)
    minute, place, cluster = minute[kept], place[kept], cluster[kept]
    parts = [(minute, place, DRAWN), (traded, first[traded], OPEN)]
    flat = (minutes.high == minutes.low) & (minutes.lots < 2)
    closing = traded[~(flat | (minutes.count == 1))[traded]]
    parts.append((closing, last[closing], CLOSE))
    steps = np.arange(STEPS + 1)
    lasting = (steps >= late[:, None]) & (steps <= last[:, None])
    for code, extreme in ((HIGH, minutes.high), (LOW, minutes.low)):
        needed = traded[(minutes.open[traded] != extreme[traded])
                        & (minutes.close[traded] != extreme[traded])]  # fmt: skip
        cell = paths.cell_of(np.log(extreme))[:, None]
        visited = ((walks == cell) & lasting)[needed]
        parts.append((needed, np.minimum(_visit(visited, rng), last[needed]), code))
    return _sorted(parts, cluster)


def _drawn(
    traded: I64, first: F64, last: F64, mean: F64, law: InsideLaw, rng: np.random.Generator
) -> tuple[I64, F64, I64]:
    """(minute, place, cluster) of orders that come in clusters [orders].

    A Neyman-Scott process (1958): clusters come as a Poisson process, each order of one behind the
    first by an exponential delay.
    """
    minute = np.repeat(traded, rng.poisson(np.maximum(mean[traded] - 2.0, 0.0)))
    begun = first[minute] + (last - first)[minute] * rng.random(len(minute))
    number = heavy_counts(law.cluster, len(minute), rng)
    cluster = np.repeat(np.arange(len(minute)), number)
    delay = CLUSTER_DELAY * rng.exponential(1.0, len(cluster))
    delay[np.cumsum(number) - number] = 0.0
    place = begun[cluster] + delay
    kept = place < last[minute][cluster]
    return minute[cluster][kept], place[kept], cluster[kept]


def heavy_counts(mean: float, size: int, rng: np.random.Generator) -> I64:
    """Whole numbers from 1 on [size], of this mean: beyond 1 Poisson of a log-normal mean."""
    spread = COUNT_SPREAD * rng.standard_normal(size) - 0.5 * COUNT_SPREAD**2
    return np.asarray(1 + rng.poisson((mean - 1.0) * np.exp(spread)), np.int64)


def _visit(visited: Bool, rng: np.random.Generator) -> F64:
    """A moment in one of the steps at which each row is true, all alike; every row has one."""
    score = np.where(visited, rng.random(visited.shape), -1.0)
    step: F64 = score.argmax(axis=1) + rng.random(len(visited))
    return step


def _sorted(parts: list[tuple[I64, F64, int]], cluster: I64) -> Orders:
    minute = np.concatenate([part[0] for part in parts])
    place = np.concatenate([part[1] for part in parts])
    kind = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    alone = (cluster.max() + 1 if len(cluster) else 0) + np.arange(len(minute) - len(cluster))
    rank = np.where(kind == OPEN, -1.0, place)
    rank[kind == CLOSE] = STEPS + 1.0
    order = np.argsort(minute * (STEPS + 3.0) + rank, kind="stable")
    return Orders(minute[order], place[order], kind[order], np.concatenate([cluster, alone])[order])
