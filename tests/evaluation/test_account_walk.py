"""One account in compiled code is the account that the simulator keeps decision by decision."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.account_walk import AccountWalk, Choice
from apex_trader.evaluation.backtest import episode_starts, path_of, run_continuous
from apex_trader.evaluation.journal import record_of
from apex_trader.evaluation.optimum.policy import TablePolicy
from apex_trader.evaluation.record import Record
from apex_trader.trading.config import RewardConfig, TradingConfig

COSTLY = TradingConfig(fee=0.0005, slippage_bps=2.0, lot_size=0.01, tick_size=0.05)
#: Falls far enough that almost any account is liquidated.
RUINOUS = TradingConfig(fee=0.01, slippage_bps=300.0, exposure=3.0, ruin_fraction=0.6)


def same(one: Record, other: Record) -> None:
    for field in fields(Record):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "terms":
            assert all(np.allclose(a[term], b[term], rtol=0, atol=1e-12) for term in a)
        elif field.name == "trips":
            for name in a.dtype.names:
                assert np.allclose(a[name], b[name], rtol=1e-9, atol=1e-9), name
        elif isinstance(a, np.ndarray) and a.dtype.kind == "f":
            assert np.allclose(a, b, rtol=0, atol=1e-12), field.name
        elif isinstance(a, np.ndarray):
            assert np.array_equal(a, b), field.name
        elif field.name != "name":
            assert a == b, field.name


@pytest.mark.parametrize("trading", [COSTLY, RUINOUS])
@pytest.mark.parametrize("seed", range(4))
def test_a_plan_earns_what_the_simulator_books(tools, seed, trading):
    path = path_of(tools.walk(seed, days=3))
    script = tools.scripted(path, seed)
    table = TablePolicy("plan", np.repeat(script.actions[:, None], 3, axis=1))
    slow = run_continuous(path, script, trading, RewardConfig())
    fast = run_continuous(path, table, trading, RewardConfig())
    same(fast, slow)
    assert len(slow.trips) > 1


def test_both_ways_tell_of_ruin(tools):
    path = path_of(tools.walk(1, days=3))
    script = tools.scripted(path, 1)
    table = TablePolicy("plan", np.repeat(script.actions[:, None], 3, axis=1))
    assert run_continuous(path, script, RUINOUS, RewardConfig()).ruined
    record = run_continuous(path, table, RUINOUS, RewardConfig())
    assert record.ruined
    assert record.position[-1] == 0.0


@pytest.mark.parametrize("cuts", [[], [100], [5, 81, 82, 240, 300]])
def test_a_walk_in_stretches_is_the_walk(tools, cuts):
    path = path_of(tools.walk(2))
    best = np.repeat(tools.scripted(path, 2).actions[:, None], 3, axis=1)
    whole = run_continuous(path, TablePolicy("plan", best), COSTLY, RewardConfig())
    walk = AccountWalk(path, episode_starts(path), COSTLY, RewardConfig())
    edges = [0, *cuts, len(path)]
    for first, stop in pairwise(edges):
        walk.go(Choice.of_plan(best[first:stop])._replace(first=first), stop)
    same(record_of(walk.journal(), path, COSTLY, "plan"), whole)


def test_a_value_that_is_no_number_ends_the_walk_with_its_row(tools):
    path = path_of(tools.walk(2))
    codes = np.zeros((len(path), 4), np.float32)
    codes[17] = np.nan
    ones = np.ones((4, 8), np.float32)
    choice = Choice(0, np.zeros((0, 0), np.uint8), codes, ones, ones[:3, :4].copy(),
                    np.zeros((3, 3), np.float32))  # fmt: skip
    walk = AccountWalk(path, episode_starts(path), COSTLY, RewardConfig())
    with pytest.raises(ApexError, match="no finite Q-values at decision row 17"):
        walk.go(choice, len(path))


def test_a_plan_for_another_path_is_refused(tools):
    path = path_of(tools.walk(2))
    short = TablePolicy("plan", np.zeros((3, 3), np.uint8))
    with pytest.raises(ApexError, match="planned for a path of 3 rows, not 480"):
        run_continuous(path, short, COSTLY, RewardConfig())
