"""What decisions saw can be written down, and put in place again bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apex_trader.errors import MismatchError
from apex_trader.state.excerpt import Excerpt
from apex_trader.state.gather import gather
from apex_trader.state.live_day import empty_day
from apex_trader.state.schema import SCHEMAS
from apex_trader.time import MINUTE
from tests.state.test_live import NAMES, begun, closed, market, midnight, schema_of

STEP = 5 * MINUTE


@NAMES
def test_rows_noted_as_they_came_give_every_state_again(name):
    start = midnight()
    live, again = begun(name, start), empty_day(schema_of(name))
    noted = 0
    for until in range(start, start + 4 * STEP, STEP):
        live.extend(closed(market(), until, until + STEP))
        excerpt = Excerpt.of(live.tables, noted, live.newest + 1)
        excerpt.put(again)
        noted = live.newest + 1
        newest = torch.tensor([live.newest])
        assert torch.equal(gather(again, newest), gather(live.tables, newest))
    every = torch.arange(noted)
    states = gather(live.tables, every)
    assert torch.equal(gather(again, every), states)
    assert (states != 0).any()


def test_each_row_is_noted_once():
    live = begun("eth_full", midnight())
    live.extend(closed(market(), midnight(), midnight() + STEP))
    first, second = Excerpt.of(live.tables, 0, 30), Excerpt.of(live.tables, 30, 60)
    for clock, at in second.rows.items():
        block = next(b.name for b in live.schema.blocks if b.clock == clock)
        assert at == first.rows[clock] + len(first.columns[f"block {block}"])
    np.testing.assert_array_equal(second.ts, first.ts[-1] + 5_000_000 * np.arange(1, 31))


def test_rows_of_another_schema_are_refused():
    live = begun("eth_minutes", midnight())
    live.extend(closed(market(), midnight(), midnight() + STEP))
    with pytest.raises(MismatchError, match="another schema"):
        Excerpt.of(live.tables, 0, 3).put(empty_day(SCHEMAS["eth_full"](16)))
