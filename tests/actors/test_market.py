import numpy as np
import pytest

from actors.market import RolloutMarket
from apex_trader.errors import MismatchError
from apex_trader.state.gather import MarketTables


def test_rows_are_referred_to_by_registry_number(make_market):
    market = make_market(days=3, numbers=[12, 4, 9])
    segment, row = market.refer(np.array([0, 119, 120, 359]))
    assert segment.tolist() == [12, 12, 4, 9]
    assert row.tolist() == [0, 119, 0, 119]
    assert segment.dtype == row.dtype == np.int32


def test_tables_of_other_segments_are_refused(make_segment, schema):
    segments = [make_segment(day) for day in range(2)]
    tables = MarketTables.from_segments(segments[:1], schema)
    with pytest.raises(MismatchError, match="other segments"):
        RolloutMarket.build(segments, [0, 1], tables, 3)
