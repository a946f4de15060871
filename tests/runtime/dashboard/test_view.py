"""What a page shows of a trading run is what the run did, however its journal was read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from apex_trader.evaluation.report.market_view import candles_of, pivots_of
from apex_trader.execution.trade_journal import read_decisions
from apex_trader.runtime.dashboard.history import CHOICES, NUMBERS
from apex_trader.runtime.dashboard.view import TradeView
from apex_trader.runtime.trade_session import TradeFolder
from apex_trader.state.gather import gather
from apex_trader.time import MINUTE
from tests.runtime.dashboard.conftest import Replay, begin_run
from tests.runtime.test_trader import Paper
from tests.state.test_live import midnight, offline, schema_of


def assert_same_view(one: TradeView, other: TradeView) -> None:
    for name in NUMBERS:
        np.testing.assert_array_equal(one.decisions.column(name), other.decisions.column(name))
    for choice in CHOICES:
        assert str(one.decisions.latest(choice)) == str(other.decisions.latest(choice))
    assert one.decisions.reasons == other.decisions.reasons
    assert str(list(one.orders)) == str(list(other.orders))
    for part in ("candles", "fills", "pivots"):
        for name, values in vars(getattr(one.market(), part)).items():
            wanted = getattr(getattr(other.market(), part), name)
            if part == "pivots":  # in whatever order they were met
                values, wanted = np.sort(values), np.sort(wanted)
            np.testing.assert_array_equal(values, wanted, err_msg=f"{part}.{name}")
    assert one.state.blocks() == other.state.blocks()
    np.testing.assert_array_equal(one.state.state(), other.state.state())
    assert one.risk() == other.risk()


#: (table, records written before the next look).
pieces = st.lists(
    st.tuples(st.sampled_from(["decisions", "orders", "rows"]), st.integers(1, 200)), max_size=12
)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(pieces=pieces, rows=st.integers(20, 150))
def test_reading_bit_by_bit_is_reading_at_once(paper: Paper, view, tmp_path_factory, pieces, rows):
    """Even where the tables' records come at odds with each other."""
    folder = begin_run(tmp_path_factory.mktemp("replay") / "run")
    replay = Replay(folder.journal, paper.folder, rows)
    shown = TradeView(folder)
    for table, count in pieces:
        replay.write(table, count)
        shown.update()
    for table in replay.left:
        replay.write(table, 10_000)
    shown.update()
    assert not shown.update()
    assert_same_view(shown, view)


def test_decisions_and_orders_are_those_of_the_run(paper: Paper, view: TradeView):
    known = read_decisions(paper.folder)
    np.testing.assert_array_equal(view.decisions.column("ts"), [d.ts for d in known])
    np.testing.assert_array_equal(view.decisions.column("equity"), [d.equity for d in known])
    assert view.decisions.acted == sum(bool(d.order) for d in known) == paper.trader.counts.orders
    assert view.orders.filled == len(view.market().fills.ts) == paper.trader.counts.fills
    assert view.orders.fee == pytest.approx(float(paper.trader.account.record["fee"]))
    latest = view.decisions.latest("orders")[0]
    (last,) = [d for d in known if d.order][-1:]
    assert (latest["ts"], latest["order"], latest["target"]) == (last.ts, last.order, last.target)
    assert latest["q"] == pytest.approx(last.q.tolist())


def test_candles_and_pivots_are_those_that_a_report_draws(view: TradeView):
    """Also of pivots that were confirmed on the other side of midnight."""
    days = [offline("eth_full", midnight() - 24 * 60 * MINUTE), offline("eth_full", midnight())]
    end = int(view.decisions.column("ts")[-1])
    wanted, shown = candles_of(days, schema_of("eth_full")), view.market().candles
    wanted = wanted.between(0, end - MINUTE + 1)
    np.testing.assert_array_equal(shown.ts, wanted.ts)
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(getattr(shown, name), getattr(wanted, name), rtol=1e-6)
    told, pivots = pivots_of(days, wanted), view.market().pivots
    known = told.known <= end
    expected = set(zip(*(v[known].tolist() for v in (told.ts, told.level, told.kind)), strict=True))
    found = set(zip(*(v.tolist() for v in (pivots.ts, pivots.level, pivots.kind)), strict=True))
    assert found == expected
    assert any(ts < midnight() <= at for ts, at in zip(pivots.ts, pivots.known, strict=True))
    assert (pivots.known > pivots.ts).all()


def test_the_latest_state_is_the_one_that_the_agent_saw(paper: Paper, view: TradeView):
    tables = paper.trader.tables
    state = gather(tables.tables, torch.tensor([tables.newest]))[0].numpy()
    np.testing.assert_array_equal(view.state.state(), state)
    assert view.state.ts == paper.told[-1].ts
    blocks = view.state.blocks()
    assert sum(b.size for b in blocks) == view.schema.market_size
    asked = next(d for d in reversed(paper.told) if len(d.q))
    assert asked.ts == view.state.ts
    clipped = sum(b.clipped for b in blocks) / view.schema.market_size
    assert clipped == pytest.approx(asked.clipped)
    assert all(0 < b.alive <= b.size for b in blocks)
    assert all(b.missing + b.zero <= b.size for b in blocks)


def test_a_column_that_never_moves_is_not_alive(folder: TradeFolder):
    shown = TradeView(folder)
    shown.update()
    before = {b.name: b.alive for b in shown.state.blocks()}
    block = shown.schema.block("primary_1m")
    shown.state._most["primary_1m"][3] = shown.state._least["primary_1m"][3]
    after = {b.name: b.alive for b in shown.state.blocks()}
    assert before["primary_1m"] - after.pop("primary_1m") == block.window
    assert all(before[name] == alive for name, alive in after.items())


def test_reading_leaves_the_journal_as_it_is(folder: TradeFolder):
    def content() -> dict[str, tuple[bytes, float]]:
        files = sorted(folder.path.rglob("*"))
        return {str(p): (p.read_bytes(), p.stat().st_mtime) for p in files if p.is_file()}

    before = content()
    TradeView(folder).update()
    assert content() == before


def test_how_a_run_stands(tmp_path: Path, paper: Paper):
    folder = begin_run(tmp_path / "run")
    replay = Replay(folder.journal, paper.folder)
    shown = TradeView(folder)
    assert not shown.update()
    assert shown.status().kind == "waiting"
    assert shown.risk() is None
    replay.decide(3)
    assert shown.update()
    grown = max(p.stat().st_mtime for p in folder.journal.glob("decisions*"))
    assert shown.status(grown + 4.0).kind == "trading"
    assert shown.status(grown + 4.0).age == pytest.approx(4.0)
    silent = shown.status(grown + 400.0)
    assert silent.kind == "silent"
    assert "400 s" in silent.says
    folder.stop.touch()
    assert shown.status(grown + 400.0).kind == "stopping"
    folder.result.write_text('{"ended": "STOP fi')  # half written
    assert shown.status(grown).kind == "stopping"
    replay.close()
    assert shown.status(grown).kind == "stopping"
    folder.result.write_text('{"ended": "STOP file"}')
    assert shown.status(grown).says == "ended: STOP file"


def test_a_run_that_goes_on_is_not_taken_for_one_that_ended(folder: TradeFolder):
    folder.result.write_text('{"ended": "the stream ended"}')
    shown = TradeView(folder)
    shown.update()
    assert (folder.journal / "decisions.arrows").exists()
    assert shown.status(os.stat(folder.about).st_mtime).kind != "ended"


def test_what_trades_must_be_readable(folder: TradeFolder):
    folder.about.write_text('{"run": "ru')
    with pytest.raises(ApexError, match=r"trade\.json"):
        TradeView(folder)


def test_the_gate_is_the_run_s_own(folder: TradeFolder):
    folder.about.write_text(json.dumps({"run": "x", "checkpoint": "c", "gate": 0.7}))
    shown = TradeView(folder)
    assert shown.gate == 0.7
    assert any("not there any more" in note for note in shown.training.notes)
