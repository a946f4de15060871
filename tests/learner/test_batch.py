"""A staged batch is the batch, at addresses that never change."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.state.schema import ACCOUNT_SIZE
from learner.batch import BatchArrays, BatchStaging

OUTCOMES = 3


def random_arrays(size: int, seed: int) -> BatchArrays:
    rng = np.random.default_rng(seed)
    return BatchArrays(
        rng.integers(0, 1 << 40, 2 * size), rng.random(2 * size) < 0.5,
        rng.standard_normal((size, ACCOUNT_SIZE), np.float32),
        rng.standard_normal((size, OUTCOMES, ACCOUNT_SIZE), np.float32), rng.integers(0, 3, size),
        rng.integers(0, 4, size), *rng.standard_normal((2, size, OUTCOMES), np.float32),
        rng.standard_normal(size, np.float32),
    )  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(size=st.integers(1, 70), seed=st.integers(0, 99))
def test_each_column_arrives_whole_and_in_place(size: int, seed: int) -> None:
    staging = BatchStaging(size, OUTCOMES, torch.device("cpu"))
    addresses = {f.name: getattr(staging.batch, f.name).data_ptr() for f in fields(BatchArrays)}
    for turn in range(2):
        arrays = random_arrays(size, seed + turn)
        batch = staging.put(arrays)
        assert batch.size == size
        for field in fields(BatchArrays):
            tensor = getattr(batch, field.name)
            np.testing.assert_array_equal(tensor.numpy(), getattr(arrays, field.name))
            assert tensor.data_ptr() == addresses[field.name]


def test_a_column_of_another_length_is_an_error() -> None:
    staging = BatchStaging(4, OUTCOMES, torch.device("cpu"))
    with pytest.raises(ValueError, match="broadcast"):
        staging.put(random_arrays(5, 0))
