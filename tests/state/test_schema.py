import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.errors import ConfigError
from apex_trader.state.schema import (
    CAPABILITIES,
    PIVOT_COLUMNS,
    PREDICTION_NAMES,
    REGIME_COLUMNS,
    SCHEMAS,
    Schema,
    eth_full,
    eth_minutes,
)
from apex_trader.time import CLOCKS, MINUTE, SECOND


def test_the_full_state_has_15798_market_features_and_that_of_minutes_9798():
    assert eth_full().market_size == len(eth_full().columns) == 15_798
    assert eth_minutes().market_size == len(eth_minutes().columns) == 9_798


def test_blocks_are_those_of_the_feature_reference():
    sizes = {block.name: block.size for block in eth_full().blocks}
    assert sizes == {
        "ticks": 3_000,
        **{f"primary_{clock}": 2_400 for clock in CLOCKS},
        **{f"reference_{clock}": 600 for clock in CLOCKS},
        "cnn_hidden": 512,
        "cnn_predictions": 16,
        "pivots": 250,
        "regime": 20,
    }
    minutes = {block.name for block in eth_minutes().blocks}
    assert minutes == {name for name in sizes if name != "ticks" and not name.endswith("_1s")}
    assert (len(PIVOT_COLUMNS), len(REGIME_COLUMNS), len(PREDICTION_NAMES)) == (250, 20, 16)


def test_decisions_and_gaps_are_those_of_the_clock():
    assert (eth_full().decision_interval, eth_full().fast_clock) == (5 * SECOND, "1s")
    assert (eth_minutes().decision_interval, eth_minutes().fast_clock) == (MINUTE, "1m")
    assert eth_full().max_gap == 60 * SECOND
    assert eth_minutes().max_gap == 10 * MINUTE


@pytest.mark.parametrize("name", SCHEMAS)
@given(rows=st.integers(1, 30))
def test_blocks_lie_one_after_another_and_every_feature_has_its_own_name(name, rows):
    schema = SCHEMAS[name](rows)
    start = 0
    for block in schema.blocks:
        assert schema.offsets[block.name] == slice(start, start + block.size)
        assert schema.columns[start] == f"{block.name}[{-block.window}].{block.columns[0].name}"
        start += block.size
    assert start == schema.market_size
    assert len(set(schema.columns)) == len(schema.columns)


@pytest.mark.parametrize("block", eth_full(1).blocks, ids=lambda block: block.name)
def test_every_mirror_exchanges_pairs_and_undoes_itself(block):
    index, sign = block.mirror
    np.testing.assert_array_equal(index[index], np.arange(block.width))
    np.testing.assert_array_equal(sign * sign[index], 1)


@pytest.mark.parametrize("block", eth_full(1).blocks, ids=lambda block: block.name)
def test_anchored_columns_lead_are_odd_and_swap_among_themselves(block):
    leading = [column.anchored for column in block.columns]
    assert leading == sorted(leading, reverse=True)
    index, sign = block.mirror
    assert (sign[: block.anchored] == -1).all()
    assert (index[: block.anchored] < block.anchored).all()
    for column in block.columns:
        assert column.needs is None or column.needs in CAPABILITIES


def test_leaving_a_block_out_leaves_the_others_as_they_are():
    schema = eth_full(5)
    less = schema.without("pivots", "reference_1h")
    assert not less.has("pivots")
    assert less.market_size == schema.market_size - 250 - 10
    assert set(less.columns) < set(schema.columns)
    assert less.block("regime") == schema.block("regime")
    with pytest.raises(ConfigError, match="one of ticks"):
        schema.without("pivot")
    with pytest.raises(KeyError):
        less.block("pivots")


def test_the_fingerprint_follows_everything_that_gives_a_feature_its_meaning():
    schema = eth_full(5)
    assert schema.fingerprint == eth_full(5).fingerprint
    others = [
        eth_full(6),
        eth_minutes(5),
        schema.without("regime"),
        Schema(schema.name, 10 * SECOND, schema.blocks, schema.horizons, schema.max_gap),
        Schema(schema.name, 5 * SECOND, schema.blocks, schema.horizons, 30 * SECOND),
        Schema(schema.name, 5 * SECOND, schema.blocks[::-1], schema.horizons, schema.max_gap),
    ]
    assert len({schema.fingerprint, *(s.fingerprint for s in others)}) == 1 + len(others)


def test_another_version_of_the_formulas_is_another_schema(monkeypatch):
    before = eth_full(5).fingerprint
    monkeypatch.setattr("apex_trader.state.schema.FEATURES_VERSION", 10_000)
    assert eth_full(5).fingerprint != before
