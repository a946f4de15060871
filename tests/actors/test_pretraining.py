from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from actors.pretraining import PretrainActor
from apex_trader.errors import ApexError
from apex_trader.models.config import CNNConfig, PretrainConfig, StackConfig
from apex_trader.state.schema import Schema, eth_minutes
from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from apex_trader.time import DAY, MINUTE

torch.set_num_threads(1)
ROWS, N = 8, 480
CNN = CNNConfig(StackConfig((4, 2), (16, 16), 16), trunk=32)
CONFIG = PretrainConfig(
    steps=20, evaluate_every=10, batch_size=32, validation_rows=200, baseline_rows=256
)


def small_schema() -> Schema:
    schema = eth_minutes(rows=ROWS)
    coarse = (b.name for b in schema.blocks if b.clock in ("1h", "1d"))
    return replace(schema.without(*coarse), horizons=(MINUTE, 2 * MINUTE, 3 * MINUTE, 5 * MINUTE))


def segment(schema: Schema, day: int) -> Segment:
    """A day of 480 decisions on a random walk."""
    rng = np.random.default_rng(day)
    price = np.cumsum(rng.standard_normal(N + ROWS) * 1e-3)
    tables = {
        b.name: np.zeros((len(price), b.width), np.float32)
        for b in schema.blocks
        if b.clock in schema.clocks
    }
    tables["primary_1m"][:, :4] = price[:, None]
    last = np.arange(N, dtype=np.int32) + ROWS - 1
    zeros, ts = np.zeros(N, np.float32), day * DAY + np.arange(N, dtype=np.int64) * MINUTE
    decisions = Decisions(
        ts, {"1m": last - ROWS + 1}, {"1m": last},
        np.stack([price[last], zeros], 1).astype(np.float32),
        {"1m": np.full((N, 2), 500.0, np.float32)}, np.ones((N, 6), np.float32),
        np.ones(N, np.bool_), zeros + 0.01, zeros + 0.001, zeros, zeros, price[last],
    )  # fmt: skip
    empty = np.empty(0, np.int64)
    return Segment(
        f"day-{day}", schema.fingerprint, "test:WALK", day * DAY, (0.0, 0.0), tables,
        {"pivots": np.ones((len(price), schema.block("pivots").anchored), np.float32)}, decisions,
        Outcomes(np.zeros(N), np.zeros(N, np.int64), last, last, zeros),
        PivotEvents(empty.astype(np.int32), empty.astype(np.int8), empty.astype(np.int8), empty),
    )  # fmt: skip


@pytest.fixture(scope="module")
def schema() -> Schema:
    return small_schema()


@pytest.fixture(scope="module")
def days(schema: Schema) -> list[Segment]:
    return [segment(schema, day) for day in range(4)]


def actor(schema: Schema) -> PretrainActor:
    return PretrainActor(schema, CONFIG, seed=3, cnn=CNN)


def test_a_fit_gives_an_extractor_with_figures_beside_the_baselines(
    schema: Schema, days: list[Segment]
) -> None:
    seen: list[dict[str, float]] = []
    ours = actor(schema)
    extractor = ours.fit(days[:2], report=seen.append)
    assert ours.extractor is extractor
    assert [m["pretrain/step"] for m in seen] == [10.0, 20.0]
    for who in ("", "majority/", "last_sign/", "logistic/"):
        assert np.isfinite(extractor.figures[f"pretrain/5m/{who}log_loss"])
    assert ours.metrics()["pretrain/fits"] == 1.0
    assert all(key.startswith("pretrain/") for key in ours.metrics())
    assert extractor.segment_rows(days[2]).shape == (N, 2, 528)


def test_a_refit_on_newer_days_gives_a_new_version(schema: Schema, days: list[Segment]) -> None:
    ours = actor(schema)
    first = ours.fit(days[:2])
    before = first.segment_rows(days[3])
    second = ours.refit(days[1:4])
    assert second.version != first.version
    assert ours.extractor is second
    np.testing.assert_array_equal(first.segment_rows(days[3]), before)
    # it goes on from the first one's weights: far nearer to them than another seed's
    cold = PretrainActor(schema, CONFIG, seed=50, cnn=CNN).fit(days[1:4])
    name = "direction.weight"
    near, far = (
        float((other.network.state_dict()[name] - first.network.state_dict()[name]).norm())
        for other in (second, cold)
    )
    assert near < far


def test_there_is_nothing_to_refit_before_a_fit(schema: Schema, days: list[Segment]) -> None:
    with pytest.raises(ApexError, match="no extractor to refit"):
        actor(schema).refit(days)


def test_advancing_in_pieces_is_the_same_fit(schema: Schema, days: list[Segment]) -> None:
    whole = actor(schema).fit(days[:2])
    ours = actor(schema)
    ours.begin(days[:2])
    pieces = 0
    while not ours.done:
        progress = ours.advance(seconds=1e-6)["pretrain/progress"]
        pieces += 1
    assert pieces == CONFIG.steps
    assert progress == 1.0
    assert ours.finish().version == whole.version
    with pytest.raises(ApexError, match="no fit is under way"):
        ours.advance(1.0)


def test_killed_in_the_middle_it_resumes_to_the_same_extractor(
    schema: Schema, days: list[Segment]
) -> None:
    whole = actor(schema).fit(days[:2])
    ours = actor(schema)
    ours.begin(days[:2])
    ours.advance(seconds=1e-6)
    saved = ours.state_dict()
    other = actor(schema)
    with pytest.raises(ApexError, match="give the segments"):
        other.load_state_dict(saved)
    other.load_state_dict(saved, days[:2])
    while not other.done:
        other.advance(60.0)
    assert other.finish().version == whole.version
    third = actor(schema)
    third.load_state_dict(other.state_dict())
    assert third.extractor is not None
    assert third.extractor.version == whole.version
    assert third.metrics()["pretrain/fits"] == 1.0
