"""State dictionaries survive the trip to bytes and back, exactly."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from apex_trader.errors import ApexError
from learner.serialise import read_state, state_bytes

DTYPES = ["int8", "uint8", "int32", "int64", "uint64", "float16", "float32", "float64", "bool"]


def trip(state: object) -> Any:
    return read_state(io.BytesIO(state_bytes(state)))


@settings(max_examples=50, deadline=None)
@given(
    array=st.sampled_from(DTYPES).flatmap(
        lambda d: hnp.arrays(np.dtype(d), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
    )
)
def test_arrays_come_back_with_the_same_bits(array: np.ndarray[Any, Any]) -> None:
    found = trip({"a": array})["a"]
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


def test_nested_state_comes_back(tmp_path: object) -> None:
    generator = np.random.default_rng(3)
    state = {
        "tensor": torch.arange(3, dtype=torch.bfloat16),
        "rng": generator.bit_generator.state,
        "nested": [{"x": (1, 2.5, "text", None, True)}, b"bytes"],
        7: np.int64(5),
    }
    found = trip(state)
    assert torch.equal(found["tensor"], state["tensor"])  # type: ignore[arg-type]
    assert found["nested"] == state["nested"]
    assert found[7] == 5
    other = np.random.default_rng(0)
    other.bit_generator.state = found["rng"]
    np.testing.assert_array_equal(other.random(5), generator.random(5))


def test_views_and_read_only_arrays_are_stored_as_they_read() -> None:
    array = np.arange(12).reshape(3, 4)[:, ::2]
    array.flags.writeable = False
    np.testing.assert_array_equal(trip(array), array)


def test_what_cannot_be_read_back_is_not_written() -> None:
    with pytest.raises(ApexError, match=r"state\['a'\]\[1\] is a Generator"):
        state_bytes({"a": [1, np.random.default_rng(0)]})
    with pytest.raises(ApexError, match="numpy array of <U1"):
        state_bytes({"a": np.array(["x"])})
    with pytest.raises(ApexError, match="has the key"):
        state_bytes({(1, 2): 3})


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


def test_no_code_of_the_file_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    buffer = io.BytesIO()
    torch.save({"a": Harmful()}, buffer)
    buffer.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        read_state(buffer)
    assert capsys.readouterr().out == ""
