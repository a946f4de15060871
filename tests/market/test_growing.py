"""Rows that grow: nothing that was read ever changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.market.growing import GrowingArrays, GrowingRows, join
from apex_trader.market.types import Trades

sizes = st.lists(st.integers(0, 700), max_size=12)


def trades(start: int, count: int, with_id: bool = True) -> Trades:
    n = np.arange(start, start + count)
    side = np.where(n % 2, 1, -1).astype(np.int8)
    return Trades(n, 1.0 + n, 2.0 + n, side, n if with_id else None)


@given(sizes, st.lists(st.integers(0, 600), max_size=12))
def test_arrays_hold_what_was_appended_less_what_was_forgotten(sizes, forgotten):
    arrays = GrowingArrays(a=np.empty(0), b=np.empty((0, 2), np.float32))
    told, views = np.empty(0), []
    for size, gone in zip(sizes, [*forgotten, *[0] * len(sizes)], strict=False):
        new = np.arange(size, dtype=np.float64) + len(told)
        arrays.append(a=new, b=np.stack([new, -new], axis=1).astype(np.float32))
        told = np.append(told, new)
        drop = min(gone, len(arrays))
        arrays.forget(drop)
        told = told[drop:]
        np.testing.assert_array_equal(arrays["a"], told)
        np.testing.assert_array_equal(arrays["b"][:, 1], -told.astype(np.float32))
        views.append((arrays["a"], told.copy()))
    for view, then in views:
        np.testing.assert_array_equal(view, then)
    assert len(arrays) == len(told)


@given(sizes)
def test_rows_grow_as_one(sizes):
    grown, at = GrowingRows(trades(0, 3)), 3
    for size in sizes:
        grown.append(trades(at, size))
        at += size
    whole = trades(0, at)
    for name in ("ts", "price", "amount", "side", "id"):
        np.testing.assert_array_equal(getattr(grown.rows, name), getattr(whole, name))
    assert grown.rows.side.dtype == np.int8


def test_an_id_that_some_rows_lack_is_lacking():
    grown = GrowingRows(trades(0, 3))
    grown.append(trades(3, 2, with_id=False))
    assert grown.rows.id is None
    assert grown.rows.ts.tolist() == [0, 1, 2, 3, 4]
    grown.append(trades(5, 1))
    grown.append(trades(6, 0))
    assert grown.rows.id is None
    assert len(grown) == 6
    assert join(trades(0, 2), trades(2, 2, with_id=False)).id is None
    assert join(trades(0, 0, with_id=False), trades(0, 2)).id.tolist() == [0, 1]
    assert join(trades(0, 2), trades(2, 0, with_id=False)).id.tolist() == [0, 1]
    assert join(trades(0, 2), trades(2, 2)).id.tolist() == [0, 1, 2, 3]


def test_rows_that_begin_empty_lack_nothing():
    grown = GrowingRows(trades(0, 0, with_id=False))
    grown.append(trades(0, 2))
    grown.append(trades(2, 0, with_id=False))
    assert grown.rows.id.tolist() == [0, 1]
