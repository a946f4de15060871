"""Numbers become the exchange's text and read back as themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local_exchange.text import decimal_text, decimal_texts, places_of


@given(
    st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), max_size=20),
    st.integers(0, 8),
)  # fmt: skip
def test_any_number_reads_back_to_the_bit(values: list[float], places: int) -> None:
    texts = decimal_texts(np.array(values, np.float64), places)
    assert [float(text) for text in texts] == values
    assert not any("e" in text.lower() for text in texts)


@given(st.lists(st.integers(0, 10**14), max_size=20))
def test_numbers_of_eight_decimals_have_eight_decimals(units: list[int]) -> None:
    texts = decimal_texts(np.array(units, np.float64) / 1e8, 8)
    assert texts == [f"{unit // 10**8}.{unit % 10**8:08d}" for unit in units]


@pytest.mark.parametrize(
    ("step", "places"), [(0.01, 2), (0.0001, 4), (1e-8, 8), (5.0, 0), (0.5, 1), (10.0, 0)]
)
def test_a_step_has_its_decimals(step: float, places: int) -> None:
    assert places_of(step) == places


def test_one_number() -> None:
    assert decimal_text(2345.67, 8) == "2345.67000000"
