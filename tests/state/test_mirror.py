import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.state.mirror import mirror_account, mirror_map
from apex_trader.state.schema import ACCOUNT_SIZE, SCHEMAS, eth_full


@pytest.mark.parametrize("name", SCHEMAS)
def test_mirroring_twice_changes_nothing(name):
    schema = SCHEMAS[name](13)
    index, sign = mirror_map(schema)
    state = np.random.default_rng(0).normal(size=schema.market_size).astype(np.float32)
    mirrored = state[index] * sign
    np.testing.assert_array_equal(mirrored[index] * sign, state)
    assert not np.array_equal(mirrored, state)


def test_highs_and_lows_change_places_and_sign():
    schema = eth_full(4)
    place = {name: i for i, name in enumerate(schema.columns)}
    index, sign = mirror_map(schema)
    high, low = place["primary_1m[-2].high"], place["primary_1m[-2].low"]
    assert index[high] == low
    assert index[low] == high
    assert sign[high] == sign[low] == -1
    higher, lower = place["pivots[-1].l3_higher_high"], place["pivots[-1].l3_lower_low"]
    assert index[higher] == lower
    assert sign[higher] == 1


def test_the_map_of_some_blocks_is_that_of_a_state_of_those_blocks():
    schema = eth_full(4)
    index, sign = mirror_map(schema, ("primary_1h", "regime"))
    alone = schema.without(
        *(b.name for b in schema.blocks if b.name not in ("primary_1h", "regime"))
    )
    whole_index, whole_sign = mirror_map(alone)
    np.testing.assert_array_equal(index, whole_index)
    np.testing.assert_array_equal(sign, whole_sign)


@given(st.lists(st.floats(-5, 5, width=32), min_size=ACCOUNT_SIZE, max_size=ACCOUNT_SIZE))
def test_only_the_position_of_an_account_is_odd(values):
    account = np.array([values, values], np.float32)
    turned = mirror_account(account)
    np.testing.assert_array_equal(turned[:, 0], -account[:, 0])
    np.testing.assert_array_equal(turned[:, 1:], account[:, 1:])
    np.testing.assert_array_equal(mirror_account(torch.from_numpy(account)).numpy(), turned)
