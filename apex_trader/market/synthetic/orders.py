"""The orders of a minute: how many there are, and when they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.bridge import STEPS
from apex_trader.market.synthetic.points import CLOSE, DRAWN, Points
from apex_trader.market.synthetic.targets import Minutes
from apex_trader.market.synthetic.waits import Waits

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Deviation of the log mean of a cluster's orders, and of an order's trades.
COUNT_SPREAD = 1.2
#: Mean delay of an order behind the first one of its cluster, steps.
CLUSTER_DELAY = 0.1
#: Chance that an order of a cluster has the side of the cluster.
CLUSTER_SIDE = 0.95
#: Share of the variance of log amounts that a cluster's trades have in common.
CLUSTER_AMOUNT = 0.5
#: Longest wait for a minute's first trade, and silence after its last, as a share of the minute.
MOST_SILENT = 0.25


@dataclass(frozen=True)
class Sizes:
    """Mean numbers in each minute [n]: of clusters, 0 where it is absent, of a cluster's orders, of
    an order's trades."""

    clusters: F64
    cluster: F64
    sweep: F64

    def rows(self, index: slice) -> Sizes:
        """Of some of the minutes."""
        return Sizes(self.clusters[index], self.cluster[index], self.sweep[index])


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

    def trades(self, minutes: Minutes) -> F64:
        """Mean number of trades [n]: the bars' own, where they tell, else by volume."""
        trades = 60.0 * self.trades_per_second * minutes.activity
        known = ~np.isnan(minutes.count) & (minutes.count > 0)
        return np.where(known, np.where(known, minutes.count, 0.0), trades)

    def clusters(self, minutes: Minutes) -> F64:
        """Mean number of clusters of orders [n], which arrive as a Poisson process."""
        return self.trades(minutes) / (self.sweep * self.cluster)

    def sizes(self, minutes: Minutes, moments: F64) -> Sizes:
        """How many clusters, of what size, fit bars whose prices were taken at so many moments.

        Fewer moments than made the bars would have to be more extreme ones than theirs: their
        extremes would stand out, and be known to be the last. So there are at least as many, and
        fewer trades at each.
        """
        trades = self.trades(minutes)
        fewest = trades / (self.sweep * self.cluster)
        clusters = np.clip(moments, fewest, np.maximum(trades, fewest))
        each = np.divide(trades, clusters, out=np.ones_like(trades), where=clusters > 0)
        cluster = np.maximum(each / self.sweep, 1.0)
        sweep = np.maximum(each / cluster, 1.0)
        return Sizes(clusters * (minutes.activity > 0), cluster, sweep)

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
class Orders:
    """Orders [n] by minute and place on the grid.

    kind [n]: see ``Points``; point [n]: the last one before each order, whose price is its own;
    cluster [n]: which orders belong together.
    """

    minute: I64
    place: F64
    kind: I64
    point: I64
    cluster: I64


def draw_orders(points: Points, mean: F64, rng: np.random.Generator) -> Orders:
    """Orders that come in clusters, one at each point; mean [minutes]: orders of one.

    A Neyman-Scott process (1958): each further order of a cluster comes an exponential delay behind
    its first. It has the price of the point that was last by then: at an older price whoever has
    seen the newer one would know what comes. Nobody follows on a minute's close.
    """
    number = heavy_counts(mean[points.minute], rng)
    number[points.kind == CLOSE] = 1
    cluster = np.repeat(np.arange(len(number), dtype=np.int64), number)
    begins = np.zeros(len(cluster), np.bool_)
    begins[np.cumsum(number) - number] = True
    delay = np.where(begins, 0.0, CLUSTER_DELAY * rng.exponential(1.0, len(cluster)))
    minute, place = points.minute[cluster], points.place[cluster] + delay
    kept = begins | (place < points.last[minute])
    minute, place, cluster, begins = minute[kept], place[kept], cluster[kept], begins[kept]
    kind = np.where(begins, points.kind[cluster], DRAWN)
    point = np.asarray(np.where(begins, cluster, points.at(minute, place)), np.int64)
    order = np.lexsort((place, point))
    return Orders(minute[order], place[order], kind[order], point[order], cluster[order])


def heavy_counts(mean: F64, rng: np.random.Generator) -> I64:
    """Whole numbers from 1 on [n], of these means: beyond 1 Poisson of a log-normal mean."""
    spread = COUNT_SPREAD * rng.standard_normal(len(mean)) - 0.5 * COUNT_SPREAD**2
    return np.asarray(1 + rng.poisson((mean - 1.0) * np.exp(spread)), np.int64)
