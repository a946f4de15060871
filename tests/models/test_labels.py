from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from apex_trader.errors import ConfigError, DataError
from apex_trader.models.labels import Labels, label_rows
from apex_trader.state.schema import Schema
from apex_trader.state.segment import PivotEvents, Segment
from apex_trader.time import DAY, MINUTE

COST = 0.0004
DAYS = 3
Make = Callable[..., list[Segment]]


@pytest.fixture(scope="module")
def segments(make_segments: Make) -> list[Segment]:
    return make_segments(DAYS, seed=1)


@pytest.fixture(scope="module")
def labels(segments: list[Segment], schema: Schema) -> Labels:
    return label_rows(segments, schema, COST)


def mark_of(segments: list[Segment]) -> np.ndarray:
    return np.concatenate([s.decisions.mark for s in segments])


def test_a_label_is_the_move_from_now_to_the_horizon_across_midnight(
    segments: list[Segment], labels: Labels, schema: Schema
) -> None:
    mark, n = mark_of(segments), len(labels)
    for h, horizon in enumerate(schema.horizons):
        steps = horizon // MINUTE
        for row in (0, 700, 1439, n - steps - 1):
            move = mark[row + steps] - mark[row]
            assert labels.move[row, h] == pytest.approx(move, rel=1e-6)
            band = np.log1p(COST)
            assert labels.direction[row, h] == 1 + (move > band) - (move < -band)
            sigma = float(segments[0].decisions.sigma_decision[0]) * np.sqrt(steps)
            assert labels.magnitude[row, h] == pytest.approx(min(abs(move) / sigma, 5), rel=1e-5)
            realised = np.sqrt((np.diff(mark[row : row + steps + 1]) ** 2).sum())
            expected = np.clip(np.log(realised / sigma), -5, 5)
            assert labels.volatility[row, h] == pytest.approx(expected, rel=1e-4, abs=1e-6)
            assert labels.end[row, h] == labels.ts[row] + horizon


def test_the_last_rows_have_no_label(labels: Labels, schema: Schema) -> None:
    for h, horizon in enumerate(schema.horizons):
        steps = horizon // MINUTE
        assert labels.valid[:-steps, h].all()
        assert not labels.valid[-steps:, h].any()
        assert np.isnan(labels.move[-steps:, h]).all()


def test_no_label_crosses_a_missing_day(make_segments: Make, schema: Schema) -> None:
    labels = label_rows(make_segments(DAYS, seed=1, skip=(1,)), schema, COST)
    steps = schema.horizons[-1] // MINUTE
    assert labels.valid[: 1440 - steps, -1].all()
    assert not labels.valid[1440 - steps : 1440, -1].any()
    assert labels.valid[1440, -1]


def test_no_label_crosses_a_row_that_is_not_decidable(
    segments: list[Segment], schema: Schema
) -> None:
    decidable = segments[0].decisions.decidable.copy()
    decidable[700] = False
    broken = replace(segments[0], decisions=replace(segments[0].decisions, decidable=decidable))
    labels = label_rows([broken, *segments[1:]], schema, COST)
    for h, horizon in enumerate(schema.horizons):
        steps = horizon // MINUTE
        assert labels.valid[700 - steps - 1, h]
        assert not labels.valid[700 - steps : 701, h].any()
        assert labels.valid[701, h]


def test_the_future_beyond_a_horizon_changes_nothing(
    segments: list[Segment], labels: Labels, schema: Schema
) -> None:
    cut = 2000
    mark = mark_of(segments)
    mark[cut:] += np.random.default_rng(0).standard_normal(len(mark) - cut)
    parts = np.split(mark, np.cumsum([s.rows for s in segments])[:-1])
    poisoned = [
        replace(s, decisions=replace(s.decisions, mark=m))
        for s, m in zip(segments, parts, strict=True)
    ]
    other = label_rows(poisoned, schema, COST)
    for h, horizon in enumerate(schema.horizons):
        known = slice(0, cut - horizon // MINUTE)
        np.testing.assert_array_equal(other.move[known, h], labels.move[known, h])
        np.testing.assert_allclose(
            other.volatility[known, h], labels.volatility[known, h], atol=1e-5
        )
        assert (other.direction[cut:, h] != labels.direction[cut:, h]).any()
    np.testing.assert_array_equal(other.past[:cut], labels.past[:cut])


def test_the_mirrored_market_has_mirrored_labels(
    segments: list[Segment], labels: Labels, schema: Schema
) -> None:
    turned = [replace(s, decisions=replace(s.decisions, mark=-s.decisions.mark)) for s in segments]
    other = label_rows(turned, schema, COST)
    np.testing.assert_array_equal(other.direction[labels.valid], 2 - labels.direction[labels.valid])
    np.testing.assert_array_equal(other.past, 2 - labels.past)
    np.testing.assert_array_equal(other.magnitude, labels.magnitude)
    np.testing.assert_array_equal(other.volatility, labels.volatility)


def test_the_past_class_is_the_label_of_the_row_a_horizon_ago(
    labels: Labels, schema: Schema
) -> None:
    for h, horizon in enumerate(schema.horizons):
        steps = horizon // MINUTE
        np.testing.assert_array_equal(labels.past[steps:, h], labels.direction[:-steps, h])
        assert (labels.past[:steps, h] == 1).all()


def test_a_wider_dead_band_has_more_flat_moves(
    segments: list[Segment], labels: Labels, schema: Schema
) -> None:
    wide = label_rows(segments, schema, 10 * COST)
    assert (wide.direction == 1).mean() > (labels.direction == 1).mean() + 0.2


def test_a_price_that_stands_still_is_quiet_not_infinite(
    segments: list[Segment], schema: Schema
) -> None:
    still = replace(
        segments[0],
        decisions=replace(segments[0].decisions, mark=np.full(segments[0].rows, 8.0)),
    )
    labels = label_rows([still], schema, COST)
    assert (labels.volatility[labels.valid] == -5.0).all()
    assert (labels.direction[labels.valid] == 1).all()


def test_labels_known_after_the_period_are_purged(labels: Labels, schema: Schema) -> None:
    start, end = int(labels.ts[100]), int(labels.ts[0]) + DAY
    horizons, pivot = labels.between(start, end)
    for h, horizon in enumerate(schema.horizons):
        rows = np.flatnonzero(horizons[:, h])
        assert rows[0] == 100
        assert labels.ts[rows[-1]] + horizon == end
    assert (labels.pivot_end[pivot] <= end).all()
    assert pivot.any()


def test_a_swing_is_settled_when_the_next_of_its_kind_is_known(labels: Labels) -> None:
    # the planted swings: known every 10 minutes, every fourth rises one level 20 minutes later
    row = 400 + 3
    assert labels.pivot_valid[row]
    assert labels.pivot[row] == 1.0, "swing 40 rises"
    assert labels.pivot_end[row] == labels.ts[400 + 20]
    assert labels.pivot[410 + 3] == 0.0
    assert labels.pivot[440 + 9] == 1.0


def test_an_open_swing_at_the_end_is_unknown(labels: Labels) -> None:
    assert not labels.pivot_valid[-20:].any()
    assert labels.pivot_valid[1500:2000].all()


def test_no_pivots_no_pivot_labels(segments: list[Segment], schema: Schema) -> None:
    none = PivotEvents(*(a[:0] for a in vars(segments[0].pivot_events).values()))
    labels = label_rows([replace(segments[0], pivot_events=none)], schema, COST)
    assert not labels.pivot_valid.any()
    assert labels.valid.any()


def test_days_out_of_order_are_refused(segments: list[Segment], schema: Schema) -> None:
    with pytest.raises(DataError, match="ascending"):
        label_rows(segments[::-1], schema, COST)
    with pytest.raises(DataError, match="no segments"):
        label_rows([], schema, COST)


def test_a_horizon_between_two_decisions_is_refused(
    segments: list[Segment], schema: Schema
) -> None:
    odd = replace(schema, horizons=(MINUTE // 2, *schema.horizons[1:]))
    with pytest.raises(ConfigError, match="multiples of the decision interval"):
        label_rows(segments, odd, COST)
