"""Whether probabilities come true, with errors by day: labels within a day overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.confidence.selection import log_loss

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Edges of the diagram's bins.
EDGES = np.arange(11) / 10.0
#: Two-sided 95%.
_Z = 1.959963984540054


@dataclass(frozen=True)
class Bin:
    """One point of a reliability diagram: orders whose confidence lies in [low, high).

    orders, days: how many, and on how many days. confidence: their mean. frequency: share that
    beat keeping. lower, upper: its 95% Wilson interval at the number of independent orders that
    the spread over days tells; the whole of 0…1 where one day alone has such orders.
    """

    low: float
    high: float
    orders: int
    days: int
    confidence: float
    frequency: float
    lower: float
    upper: float

    @property
    def holds(self) -> bool:
        """Whether what was said lies within the interval of what came."""
        return self.lower <= self.confidence <= self.upper


@dataclass(frozen=True)
class Score:
    """A mean over orders, and its standard error over days (NaN for one day)."""

    value: float
    error: float


@dataclass(frozen=True)
class Reliability:
    """How well confidence was calibrated on some orders.

    orders, days: how many. base_rate: share of orders that beat keeping. gap: mean confidence less
    base_rate, above 0 where the agent was too sure. brier, log_loss: scores
    of the confidence (less is better); brier_base: of saying the base rate each time.
    brier_gain: brier_base less brier. calibration_error: Σ share of bin · |frequency − confidence|
    (expected calibration error; above 0 by chance alone with few orders). bins: the filled ones.
    """

    orders: int
    days: int
    base_rate: Score
    gap: Score
    brier: Score
    brier_base: Score
    brier_gain: Score
    log_loss: Score
    calibration_error: Score
    bins: tuple[Bin, ...]

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Reliability:
        """From ``dataclasses.asdict`` of one, or from JSON of that."""
        bins = tuple(Bin(**one) for one in values["bins"])
        scores = {k: Score(**v) for k, v in values.items() if isinstance(v, Mapping)}
        return cls(int(values["orders"]), int(values["days"]), bins=bins, **scores)


def reliability(
    confidence: F64, better: Bool, day: I64, random: np.random.Generator, draws: int = 1_000
) -> Reliability | None:
    """Of n orders: what was said [n], whether they beat keeping [n], their day [n]. None for none.

    Days are drawn with replacement ``draws`` times; orders of a day stay together.
    """
    if not len(confidence):
        return None
    days, number = np.unique(day, return_inverse=True)
    weights = _draw(len(days), random, draws)
    rate = better.mean()
    each = {
        "base_rate": better.astype(np.float64),
        "gap": confidence - better,
        "brier": (confidence - better) ** 2,
        "brier_base": (rate - better) ** 2,
        "brier_gain": (rate - better) ** 2 - (confidence - better) ** 2,
        "log_loss": log_loss(confidence, better),
    }
    orders = np.bincount(number, minlength=len(days)).astype(np.float64)
    scores = {name: _score(values, number, orders, weights) for name, values in each.items()}
    bins, error = _diagram(confidence, better, number, weights)
    return Reliability(len(confidence), len(days), calibration_error=error, bins=bins, **scores)


def wilson(frequency: float, count: float) -> tuple[float, float]:
    """95% interval of a share seen in ``count`` independent trials (Wilson 1927)."""
    square = _Z * _Z
    centre = (frequency + square / (2.0 * count)) / (1.0 + square / count)
    half = _Z * np.sqrt(frequency * (1.0 - frequency) / count + square / (4.0 * count * count))
    half /= 1.0 + square / count
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def _draw(days: int, random: np.random.Generator, draws: int) -> F64:
    """[draws, days] how often each day is in each draw."""
    return random.multinomial(days, np.full(days, 1.0 / days), size=draws).astype(np.float64)


def _score(values: F64, number: I64, orders: F64, weights: F64) -> Score:
    sums = np.bincount(number, weights=values, minlength=len(orders))
    if len(orders) < 2:
        return Score(float(values.mean()), float("nan"))
    return Score(float(values.mean()), float(((weights @ sums) / (weights @ orders)).std(ddof=1)))


def _diagram(
    confidence: F64, better: Bool, number: I64, weights: F64
) -> tuple[tuple[Bin, ...], Score]:
    """The filled bins, and the expected calibration error."""
    place = np.clip(np.searchsorted(EDGES, confidence, side="right") - 1, 0, len(EDGES) - 2)
    shape = (weights.shape[1], len(EDGES) - 1)
    count, hits, said = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for table, values in ((count, 1.0), (hits, better), (said, confidence)):
        np.add.at(table, (number, place), values)
    bins = tuple(
        _bin(k, count[:, k], hits[:, k], said[:, k], weights)
        for k in np.flatnonzero(count.sum(0) > 0).tolist()
    )
    apart = np.abs(weights @ (hits - said)).sum(1) / (weights @ count).sum(1)
    error = float(apart.std(ddof=1)) if shape[0] > 1 else float("nan")
    value = float(np.abs((hits - said).sum(0)).sum() / count.sum())
    return bins, Score(value, error)


def _bin(place: int, count: F64, hits: F64, said: F64, weights: F64) -> Bin:
    """One bin, of its orders, hits and confidence by day [d]."""
    orders, days = int(count.sum()), int((count > 0).sum())
    frequency, mean = float(hits.sum() / orders), float(said.sum() / orders)
    lower, upper = wilson(frequency, _independent(frequency, count, hits, weights))
    if days < 2:
        lower, upper = 0.0, 1.0
    return Bin(float(EDGES[place]), float(EDGES[place + 1]), orders, days, mean, frequency,
               lower, upper)  # fmt: skip


def _independent(frequency: float, count: F64, hits: F64, weights: F64) -> float:
    """How many independent orders would be as uncertain as days drawn anew are (Kish's effective
    size, 1965); no more than there are. As many as days where the days do not differ."""
    drawn = weights @ count
    there = drawn > 0
    spread = float(((weights @ hits)[there] / drawn[there]).var()) if there.any() else 0.0
    if spread <= 0.0:
        return float(max((count > 0).sum(), 1))
    return float(np.clip(frequency * (1.0 - frequency) / spread, 1.0, count.sum()))
