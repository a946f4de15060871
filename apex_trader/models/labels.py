"""What the market did after each decision: targets for pretraining, never part of a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ConfigError, DataError
from apex_trader.state.schema import CLIP, HORIZONS, Schema
from apex_trader.state.segment import Segment
from apex_trader.time import format_date

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

#: A horizon that saw no price change at all has this ln(realised / current volatility).
_QUIET = -CLIP


@dataclass(frozen=True)
class Labels:
    """Targets per decision row of several segments, in their order; n = rows.

    ts [n] µs of the decision. move [n, 4]: ln price change over each horizon, NaN where unknown.
    direction [n, 4] int8: 0 down, 1 flat, 2 up; flat within the dead band.
    past [n, 4] int8: the same class of the trailing move of the same length, flat where unknown.
    magnitude [n, 4]: |move| over σ of the horizon, at most 5.
    volatility [n, 4]: ln of the realised volatility over the horizon over the current one, ±5.
    end [n, 4] µs: when the label is known. valid [n, 4]: the label exists and the row is decidable.
    pivot [n]: 1 when the latest swing was confirmed one level up, else 0. pivot_end [n] µs,
    pivot_valid [n]: as above.

    Mirrored market: direction becomes 2 - direction, past likewise, move its negative; magnitude,
    volatility and pivot are even.
    """

    ts: I64
    move: F32
    direction: NDArray[np.int8]
    past: NDArray[np.int8]
    magnitude: F32
    volatility: F32
    end: I64
    valid: Bool
    pivot: F32
    pivot_end: I64
    pivot_valid: Bool

    def __len__(self) -> int:
        return len(self.ts)

    def between(self, start: int, end: int) -> tuple[Bool, Bool]:
        """Which labels belong to the period [start, end): decided in it and known by its end.

        Labels that reach past the end are purged, each horizon for itself. Returns
        (horizons [n, 4], pivot [n]).
        """
        inside = (self.ts >= start) & (self.ts < end)
        horizons = self.valid & inside[:, None] & (self.end <= end)
        return horizons, self.pivot_valid & inside & (self.pivot_end <= end)


def label_rows(segments: Sequence[Segment], schema: Schema, round_trip_cost: float) -> Labels:
    """Label every decision row of consecutive days.

    A label is unknown where its horizon leaves the data or meets a row that is not decidable: such
    a move spans a gap, and no position is carried across one.

    Args:
        segments: days in ascending order; a missing day is a gap.
        schema: its decision interval divides its horizons.
        round_trip_cost: half width of the dead band, as a share of the price.

    Raises:
        ConfigError: a horizon is no multiple of the decision interval.
        DataError: no segments, or not in ascending order.
    """
    _check(segments, schema)
    decisions = [segment.decisions for segment in segments]
    ts = np.concatenate([d.ts for d in decisions])
    mark = np.concatenate([d.mark for d in decisions])
    sigma = np.concatenate([d.sigma_decision for d in decisions]).astype(np.float64)
    decidable = np.concatenate([d.decidable for d in decisions])
    broken = ~decidable | ~np.isfinite(mark)
    broken[1:] |= np.diff(ts) != schema.decision_interval
    usable = decidable & np.isfinite(mark) & (sigma > 0)
    band = float(np.log1p(round_trip_cost))
    steps = np.array([h // schema.decision_interval for h in schema.horizons], np.int64)
    columns = [_horizon(mark, sigma, broken, usable, int(s), band) for s in steps]
    move, past, magnitude, volatility, valid = (np.stack(c, 1) for c in zip(*columns, strict=True))
    end = ts[:, None] + steps[None, :] * schema.decision_interval
    pivot, pivot_end, pivot_valid = _pivot_labels(segments, ts, schema.decision_interval)
    return Labels(
        ts, move.astype(np.float32), _classes(move, band), past, magnitude.astype(np.float32),
        volatility.astype(np.float32), end, valid.astype(np.bool_), pivot, pivot_end,
        pivot_valid & decidable,
    )  # fmt: skip


def _check(segments: Sequence[Segment], schema: Schema) -> None:
    for horizon in schema.horizons:
        if horizon <= 0 or horizon % schema.decision_interval:
            raise ConfigError(
                "state.horizons",
                schema.horizons,
                f"{HORIZONS} multiples of the decision interval ({schema.decision_interval} µs)",
            )
    if not segments:
        raise DataError("pretraining slice", "it has no segments", "Widen the slice")
    for before, after in pairwise(segments):
        if after.day <= before.day:
            raise DataError(
                f"segment {format_date(after.day)}",
                f"it follows the segment of {format_date(before.day)}",
                "Give the days in ascending order, each once",
            )


def _classes(move: NDArray[np.float64], band: float) -> NDArray[np.int8]:
    """0 below -band, 2 above it, else 1; NaN is 1."""
    return (1 + (move > band).astype(np.int8) - (move < -band).astype(np.int8)).astype(np.int8)


def _horizon(
    mark: NDArray[np.float64],
    sigma: NDArray[np.float64],
    broken: Bool,
    usable: Bool,
    steps: int,
    band: float,
) -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.float64], NDArray[np.float64], Bool]:
    """(move, past class, magnitude, volatility, valid) of one horizon of ``steps`` decisions."""
    n = len(mark)
    move = np.full(n, np.nan)
    magnitude, volatility = np.zeros(n), np.zeros(n)
    past = np.full(n, 1, np.int8)
    valid = np.zeros(n, np.bool_)
    if steps >= n:
        return move, past, magnitude, volatility, valid
    breaks = np.concatenate([[0], np.cumsum(broken)])
    # rows (t, t + steps] hold no break: the steps between them are all whole
    whole = breaks[steps + 1 :] == breaks[1 : n - steps + 1]
    valid[: n - steps] = whole & usable[: n - steps]
    steady = np.where(np.isfinite(mark), mark, 0.0)
    whole &= np.isfinite(mark[: n - steps])
    change = np.where(whole, steady[steps:] - steady[: n - steps], np.nan)
    move[: n - steps] = np.where(valid[: n - steps], change, np.nan)
    past[steps:] = _classes(change, band)
    squares = np.concatenate([[0.0], np.cumsum(np.diff(steady, prepend=steady[0]) ** 2 * ~broken)])
    realised = np.sqrt(np.maximum(squares[steps + 1 :] - squares[1 : n - steps + 1], 0.0))
    known = np.flatnonzero(valid)
    expected = sigma[known] * np.sqrt(steps)
    magnitude[known] = np.minimum(np.abs(move[known]) / expected, CLIP)
    ratio = realised[known] / expected
    quiet = ratio < np.exp(_QUIET)
    volatility[known] = np.clip(np.log(np.where(quiet, np.exp(_QUIET), ratio)), -CLIP, CLIP)
    return move, past, magnitude, volatility, valid


def _pivot_labels(segments: Sequence[Segment], ts: I64, interval: int) -> tuple[F32, I64, Bool]:
    """Whether each row's latest known swing of level 2 becomes one of level 3.

    A level-2 swing is settled when the next one of its kind is known (Williams: level 3 needs both
    neighbours). Swings still open where a run of consecutive decision rows ends stay unknown.
    """
    first = np.cumsum([0] + [segment.rows for segment in segments])
    known, level, kind, place = (
        np.concatenate(parts)
        for parts in zip(
            *(
                (e.known_row.astype(np.int64) + start, e.level, e.kind, e.ts)
                for start, e in zip(
                    first[:-1], (segment.pivot_events for segment in segments), strict=True
                )
            ),
            strict=True,
        )
    )
    run = np.concatenate([[0], np.cumsum(np.diff(ts) != interval)])
    n = len(ts)
    label, settled = np.zeros(n, np.float32), np.zeros(n, np.int64)
    valid = np.zeros(n, np.bool_)
    swings = np.flatnonzero((level == 2) & (known < n))
    if not len(swings):
        return label, settled, valid
    point = 2 * place + (kind > 0)
    confirmed = np.isin(point[swings], point[level >= 3])
    settled_at = _next_of_kind(known[swings], kind[swings], n)
    latest = np.searchsorted(known[swings], np.arange(n), side="right") - 1
    rows = np.flatnonzero(latest >= 0)
    swing = latest[rows]
    end_row = settled_at[swing]
    inside = end_row < n
    rows, swing, end_row = rows[inside], swing[inside], end_row[inside]
    same = (run[rows] == run[end_row]) & (run[known[swings][swing]] == run[rows])
    rows, swing, end_row = rows[same], swing[same], end_row[same]
    label[rows] = confirmed[swing]
    settled[rows] = ts[end_row]
    valid[rows] = True
    return label, settled, valid


def _next_of_kind(known: I64, kind: NDArray[np.int8], none: int) -> I64:
    """For each swing the row at which the next one of its kind is known, ``none`` without one."""
    out = np.full(len(known), none, np.int64)
    for each in (-1, 1):
        mine = np.flatnonzero(kind == each)
        out[mine[:-1]] = known[mine[1:]]
    return out
