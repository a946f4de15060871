from __future__ import annotations

import numpy as np
import pytest
import torch

from apex_trader.models.config import PretrainConfig
from apex_trader.models.extractor import ExtractorOutput
from apex_trader.models.losses import Targets, horizon_shares, pretrain_loss

SHARES = torch.tensor([0.4, 0.3, 0.2, 0.1])
CONFIG = PretrainConfig(magnitude_weight=0.5, volatility_weight=0.25, pivot_weight=2.0)


def output(count: int, seed: int = 0) -> ExtractorOutput:
    g = torch.Generator().manual_seed(seed)
    return ExtractorOutput(
        torch.zeros(count, 512), torch.randn(count, 4, 3, generator=g),
        torch.rand(count, 4, generator=g), torch.randn(count, 4, generator=g),
        torch.randn(count, generator=g),
    )  # fmt: skip


def targets(count: int) -> Targets:
    g = torch.Generator().manual_seed(9)
    return Targets(
        torch.randint(0, 3, (count, 4), generator=g), torch.rand(count, 4, generator=g),
        torch.randn(count, 4, generator=g), torch.randint(0, 2, (count,), generator=g).float(),
    )  # fmt: skip


def test_the_sum_is_that_of_its_weighted_parts() -> None:
    every = torch.ones(5, 4, dtype=torch.bool)
    losses = pretrain_loss(output(5), targets(5), every, every[:, 0], SHARES, CONFIG)
    parts = losses.direction + 0.5 * losses.magnitude + 0.25 * losses.volatility + 2 * losses.pivot
    torch.testing.assert_close(losses.total, parts)
    p = output(5).logits.softmax(2)
    entropy = -p.gather(2, targets(5).direction[..., None]).log()[..., 0]
    expected = entropy.mean(0) @ SHARES
    torch.testing.assert_close(losses.direction, expected)


def test_an_unknown_label_changes_nothing() -> None:
    valid = torch.ones(6, 4, dtype=torch.bool)
    valid[2, 1] = valid[5] = False
    pivot = valid[:, 0]
    good = targets(6)
    bad = Targets(
        *(t.clone() for t in (good.direction, good.magnitude, good.volatility, good.pivot))
    )
    bad.direction[2, 1] = 2 - bad.direction[2, 1]
    bad.magnitude[5] = 1e6
    bad.pivot[5] = 1 - bad.pivot[5]
    torch.testing.assert_close(
        pretrain_loss(output(6), good, valid, pivot, SHARES, CONFIG).total,
        pretrain_loss(output(6), bad, valid, pivot, SHARES, CONFIG).total,
    )


def test_a_batch_without_any_label_of_a_horizon_is_finite() -> None:
    none = torch.zeros(3, 4, dtype=torch.bool)
    assert pretrain_loss(output(3), targets(3), none, none[:, 0], SHARES, CONFIG).total == 0.0


def test_a_mirrored_target_swaps_up_and_down_alone() -> None:
    plain = targets(8)
    rows = torch.tensor([1, 4, 6])
    mirrored = plain.take(rows, torch.tensor([True, False, True]))
    assert torch.equal(mirrored.direction[0], 2 - plain.direction[1])
    assert torch.equal(mirrored.direction[1], plain.direction[4])
    for even in ("magnitude", "volatility", "pivot"):
        assert torch.equal(getattr(mirrored, even), getattr(plain, even)[rows])


def test_the_loss_is_even_under_the_mirror() -> None:
    every = torch.ones(7, 4, dtype=torch.bool)
    y, o = targets(7), output(7)
    turned = o._replace(logits=o.logits.flip(2))
    flipped = y.take(torch.arange(7), torch.ones(7, dtype=torch.bool))
    assert float(pretrain_loss(o, y, every, every[:, 0], SHARES, CONFIG).total) == pytest.approx(
        float(pretrain_loss(turned, flipped, every, every[:, 0], SHARES, CONFIG).total), rel=1e-6
    )
    assert np.isfinite(float(pretrain_loss(o, y, every, every[:, 0], SHARES, CONFIG).total))


def test_a_horizon_counts_by_its_independent_labels() -> None:
    shares = horizon_shares(np.array([3000.0, 300.0, 30.0, 3.0]), 300.0)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[1] / shares[0] == pytest.approx(0.5 / (10 / 11))
    assert (np.diff(shares) < 0).all()
    np.testing.assert_allclose(horizon_shares(np.array([9.0, 5.0, 2.0, 1.0]), 0.0), 0.25)
