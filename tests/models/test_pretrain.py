from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from apex_trader.errors import DataError, MismatchError
from apex_trader.models.config import CNNConfig, PretrainConfig, StackConfig
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.models.pretrain import Pretrainer
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, MINUTE

Make = Callable[..., list[Segment]]
MakeTables = Callable[[list[Segment]], MarketTables]
CNN = CNNConfig(StackConfig((4, 4), (24, 48), 48), trunk=96, dropout=0.1, clock_dropout=0.0)
CONFIG = PretrainConfig(
    learning_rate=1e-3,
    steps=400,
    evaluate_every=100,
    batch_size=128,
    validation_rows=2000,
    baseline_rows=8000,
)  # fmt: skip
SHORT = replace(CONFIG, steps=12, evaluate_every=4, validation_rows=200, baseline_rows=0)


@pytest.fixture(scope="module")
def small(make_segments: Make) -> list[Segment]:
    return make_segments(2, seed=3)


@pytest.fixture(scope="module")
def planted(make_segments: Make, make_tables: MakeTables) -> FrozenExtractor:
    segments = make_segments(8, seed=0)
    pretrainer = Pretrainer(make_tables(segments), segments, CONFIG, 0, CNN)
    pretrainer.fit()
    return pretrainer.freeze()


def test_before_the_first_step_it_says_the_base_rates_of_the_fitting_rows(
    small: list[Segment], make_tables: MakeTables
) -> None:
    fresh = Pretrainer(make_tables(small), small, SHORT, 0, CNN)
    rows, valid = fresh.fit_rows[:200], fresh.fit_valid
    p = fresh._predict(rows).logits.softmax(2).mean(0).numpy()
    for h in range(4):
        counts = np.bincount(fresh.labels.direction[valid[:, h], h], minlength=3)
        shares = (counts + counts[::-1]) / (2 * counts.sum())
        np.testing.assert_allclose(p[h], shares, atol=0.02)
        assert p[h, 0] == pytest.approx(p[h, 2], abs=0.02), "up and down are alike"


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["majority", "last_sign", "logistic"])
def test_on_a_planted_market_it_beats_every_baseline(
    planted: FrozenExtractor, baseline: str
) -> None:
    figures = planted.figures
    for horizon in ("1m", "5m"):
        ours, theirs = f"pretrain/{horizon}/", f"pretrain/{horizon}/{baseline}/"
        assert figures[f"{ours}log_loss"] < figures[f"{theirs}log_loss"] - 0.005
        for score in ("accuracy", "balanced_accuracy", "directional_accuracy"):
            assert figures[ours + score] > figures[theirs + score] + 0.01
    assert figures["pretrain/1m/directional_accuracy"] > 0.62
    assert figures["pretrain/1m/information_coefficient"] > 0.3


@pytest.mark.slow
def test_without_an_edge_it_finds_none(make_segments: Make, make_tables: MakeTables) -> None:
    segments = make_segments(6, seed=5, edge=False)
    pretrainer = Pretrainer(
        make_tables(segments), segments, replace(CONFIG, steps=200, baseline_rows=0), 0, CNN
    )
    pretrainer.fit()
    figures = pretrainer.freeze().figures
    # five standard errors of a share of 1,700 independent minutes, and of a correlation
    assert abs(figures["pretrain/1m/directional_accuracy"] - 0.5) < 5 * 0.5 / 1200**0.5
    assert abs(figures["pretrain/1m/information_coefficient"]) < 5 / 1700**0.5
    majority = figures["pretrain/1m/majority/log_loss"]
    assert figures["pretrain/1m/log_loss"] == pytest.approx(majority, abs=0.02)


def test_same_seed_same_extractor_whatever_else_draws(
    small: list[Segment], make_tables: MakeTables
) -> None:
    versions = []
    for seed, noise in ((7, 1), (7, 2), (8, 1)):
        torch.manual_seed(noise)
        pretrainer = Pretrainer(make_tables(small), small, SHORT, seed, CNN)
        pretrainer.fit(steps=6)
        torch.rand(noise)
        pretrainer.fit()
        versions.append(pretrainer.freeze().version)
    assert versions[0] == versions[1] != versions[2]


def test_resumed_it_ends_where_it_would_have_ended(
    small: list[Segment], make_tables: MakeTables
) -> None:
    straight = Pretrainer(make_tables(small), small, SHORT, 1, CNN)
    straight.fit()
    first = Pretrainer(make_tables(small), small, SHORT, 1, CNN)
    first.fit(steps=5)
    second = Pretrainer(make_tables(small), small, SHORT, 99, CNN)
    second.load_state_dict(first.state_dict())
    assert second.step_count == 5
    second.fit()
    assert second.freeze().version == straight.freeze().version
    assert second.metrics["pretrain/best_loss"] == straight.metrics["pretrain/best_loss"]


def test_a_resume_on_other_segments_is_refused(
    small: list[Segment], make_tables: MakeTables
) -> None:
    saved = Pretrainer(make_tables(small), small, SHORT, 1, CNN).state_dict()
    other = [replace(segment, key="elsewhere") for segment in small]
    with pytest.raises(MismatchError, match="other market segments"):
        Pretrainer(make_tables(other), other, SHORT, 1, CNN).load_state_dict(saved)


def test_fit_and_validation_are_an_embargo_apart(
    small: list[Segment], make_tables: MakeTables, schema: Schema
) -> None:
    pretrainer = Pretrainer(make_tables(small), small, SHORT, 1, CNN)
    ts, longest = pretrainer.labels.ts, max(schema.horizons)
    fit_known = pretrainer.labels.end[pretrainer.fit_valid].max()
    first_validation = ts[pretrainer.validation_valid.any(1)].min()
    assert fit_known + longest <= first_validation
    assert pretrainer.labels.pivot_end[pretrainer.fit_pivot].max() + longest <= first_validation
    assert (first_validation - ts[0]) / (2 * DAY) == pytest.approx(0.8, abs=0.01)
    assert not (pretrainer.fit_valid & pretrainer.validation_valid).any()


def test_validation_prices_cannot_reach_the_weights(
    small: list[Segment], make_tables: MakeTables
) -> None:
    """Poison: after the fitting period everything may change, the last weights may not."""
    clean = Pretrainer(make_tables(small), small, SHORT, 1, CNN)
    begin = int(np.flatnonzero(clean.validation_valid.any(1))[0]) - 1440
    decisions = small[1].decisions
    mark = decisions.mark.copy()
    mark[begin:] += np.linspace(0, 1, len(mark) - begin)
    tables = {name: table.copy() for name, table in small[1].tables.items()}
    tables["primary_1m"][begin + 16 :] = 3.0
    poisoned = [
        small[0],
        replace(small[1], decisions=replace(decisions, mark=mark), tables=tables),
    ]
    dirty = Pretrainer(make_tables(poisoned), poisoned, SHORT, 1, CNN)
    for pretrainer in (clean, dirty):
        pretrainer.fit()
    for name, value in clean.network.state_dict().items():
        assert torch.equal(value, dirty.network.state_dict()[name])
    assert clean.metrics["pretrain/validation_loss"] != dirty.metrics["pretrain/validation_loss"]


def test_the_best_validation_is_what_is_frozen(
    small: list[Segment], make_tables: MakeTables
) -> None:
    pretrainer = Pretrainer(make_tables(small), small, SHORT, 1, CNN)
    losses: dict[int, tuple[float, dict[str, torch.Tensor]]] = {}
    pretrainer.fit(
        report=lambda p: losses.__setitem__(
            p.step_count,
            (p.metrics["pretrain/validation_loss"],
             {k: v.clone() for k, v in p.averaged.state_dict().items()}),
        )
    )  # fmt: skip
    assert sorted(losses) == [4, 8, 12]
    best = min(losses, key=lambda step: losses[step][0])
    assert pretrainer.best_step == best
    frozen = pretrainer.freeze().network.state_dict()
    assert all(torch.equal(frozen[k], v) for k, v in losses[best][1].items())


def test_patience_and_seconds_end_a_fit_early(
    small: list[Segment], make_tables: MakeTables
) -> None:
    tables = make_tables(small)
    hopeless = replace(SHORT, steps=1000, learning_rate=1e-12, evaluate_every=1, patience=3)
    impatient = Pretrainer(tables, small, hopeless, 1, CNN)
    # the first validation is the best one: nothing but noise of the last bits follows
    impatient.best_loss = 0.0
    impatient.fit()
    assert impatient.step_count == 3
    hurried = Pretrainer(tables, small, replace(SHORT, steps=10**6, seconds=0.2), 1, CNN)
    hurried.fit()
    assert hurried.done
    assert 0.2 <= hurried.seconds < 5
    assert hurried.metrics["pretrain/step"] == hurried.step_count < 10**6


def test_a_slice_too_short_for_its_horizons_is_refused(
    small: list[Segment], make_tables: MakeTables, schema: Schema
) -> None:
    long = replace(schema, horizons=(*schema.horizons[:3], 480 * MINUTE))
    segments = [replace(s, schema=long.fingerprint) for s in small]
    with pytest.raises(DataError, match=r"to validate on .* 28800 s"):
        Pretrainer(
            MarketTables.from_segments(segments, long), segments,
            replace(SHORT, validation_share=0.1), 1, CNN,
        )  # fmt: skip


def test_tables_of_other_days_are_refused(
    small: list[Segment], make_segments: Make, make_tables: MakeTables
) -> None:
    with pytest.raises(MismatchError, match="same segments"):
        Pretrainer(make_tables(small[:1]), small, SHORT, 1, CNN)


def test_a_refit_goes_on_from_the_weights_it_is_given(
    small: list[Segment], make_tables: MakeTables
) -> None:
    first = Pretrainer(make_tables(small), small, SHORT, 1, CNN)
    first.fit()
    frozen = first.freeze()
    again = Pretrainer(make_tables(small), small, SHORT, 2, CNN, initial=frozen)
    for name, value in frozen.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])
    again.fit()
    assert again.freeze().version != frozen.version
    with pytest.raises(MismatchError, match="other widths"):
        Pretrainer(make_tables(small), small, SHORT, 2, CNNConfig(), initial=frozen)
