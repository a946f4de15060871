from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from apex_trader.models.config import CNNConfig, PretrainConfig, StackConfig
from apex_trader.models.extractor import CNNExtractor
from apex_trader.models.wide_deep import WideDeepOptimiser, stable_rate
from apex_trader.state.schema import eth_minutes

CNN = CNNConfig(StackConfig((4, 4), (8, 8), 16), trunk=32, dropout=0.0, clock_dropout=0.0)


def softmax_regression(x: torch.Tensor, y: torch.Tensor, rate: float, steps: int) -> list[float]:
    weight = torch.zeros(3, x.shape[1], dtype=x.dtype, requires_grad=True)
    losses = []
    for _ in range(steps):
        loss = functional.cross_entropy(x @ weight.T, y)
        losses.append(float(loss.detach()))
        (slope,) = torch.autograd.grad(loss, weight)
        weight = (weight - rate * slope).detach().requires_grad_(True)
    return losses


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), shared=st.floats(0.0, 3.0))
def test_descent_at_the_stable_rate_never_climbs(seed: int, scale: float, shared: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((64, 20)) + shared * rng.standard_normal(20)
    inputs, y = torch.from_numpy(x * scale), torch.from_numpy(rng.integers(0, 3, 64))
    losses = softmax_regression(inputs, y, stable_rate(inputs), 30)
    assert all(after <= before + 1e-9 for before, after in pairwise(losses))


def optimised(steps: int, seed: int = 0) -> tuple[CNNExtractor, WideDeepOptimiser]:
    schema = eth_minutes(rows=16)
    network = CNNExtractor(schema, CNN, torch.Generator().manual_seed(seed))
    windows = torch.randn(32, network.input_size, generator=torch.Generator().manual_seed(1))
    optimiser = WideDeepOptimiser(network, windows, PretrainConfig(warmup=0))
    for step in range(steps):
        loss = network(windows).logits[:, 0, 2].mean()
        optimiser.step(loss, step, 0.0)
    return network, optimiser


def test_both_paths_take_their_steps() -> None:
    before, _ = optimised(0)
    after, _ = optimised(1)
    assert not torch.equal(before.linear.weight, after.linear.weight)
    assert not torch.equal(before.direction.weight, after.direction.weight)


def test_the_rate_falls_with_the_budget_spent() -> None:
    network, optimiser = optimised(1)
    full = optimiser.rate
    optimiser.step(network(torch.zeros(2, network.input_size)).logits.sum(), 1, 1.0)
    assert optimiser.rate == pytest.approx(0.05 * full)


def test_resumed_it_goes_on_with_the_same_steps() -> None:
    straight, _ = optimised(4)
    network, optimiser = optimised(2)
    _, fresh = optimised(0, seed=0)
    saved = optimiser.state_dict()
    again = WideDeepOptimiser(network, torch.ones(8, network.input_size), PretrainConfig(warmup=0))
    again.load_state_dict(saved)
    assert again.stable_rate == optimiser.stable_rate != fresh.stable_rate * 2
    windows = torch.randn(32, network.input_size, generator=torch.Generator().manual_seed(1))
    for step in (2, 3):
        again.step(network(windows).logits[:, 0, 2].mean(), step, 0.0)
    for ours, theirs in zip(network.parameters(), straight.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_what_was_saved_stays_as_it_was_whoever_goes_on() -> None:
    network, optimiser = optimised(2)
    saved = optimiser.state_dict()
    before = [m["exp_avg"].clone() for m in saved["adamw"]["state"].values()]
    again = WideDeepOptimiser(network, torch.ones(8, network.input_size), PretrainConfig(warmup=0))
    again.load_state_dict(saved)
    for stepping in (optimiser, again):
        windows = torch.ones(8, network.input_size)
        stepping.step(network(windows).logits.square().sum(), 2, 0.0)
        assert all(
            torch.equal(moment["exp_avg"], then)
            for moment, then in zip(saved["adamw"]["state"].values(), before, strict=True)
        )
