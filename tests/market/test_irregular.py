"""Irregular recordings through the whole chain: files, import, figures, checks, sources.

Each is compared with what it means, counted by hand in plain Python.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apex_trader.data import main
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.time import MINUTE, SECOND
from tests.market.irregular import (
    Recording,
    covered_by_hand,
    minutes_by_hand,
    recordings,
    seconds_by_hand,
)

ETH = "binance:ETHUSDT"
PATIENT = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def imported(recording: Recording, order: list[int] | None = None) -> MarketStore:
    """A store that the command has made of the recording's files, one call for each."""
    folder = Path(tempfile.mkdtemp())
    paths, store = recording.write(folder), str(folder / "store")
    for k in order or range(len(paths)):
        assert main(["import", paths[k], "--store", store]) == 0
    return MarketStore(store)


def drop(store: MarketStore) -> None:
    shutil.rmtree(Path(store.url).parent)


@PATIENT
@given(recording=recordings(), random=st.randoms(use_true_random=False))
def test_what_was_recorded_is_there_whatever_the_order_of_its_files(recording, random):
    order = list(range(len(recording.fragments)))
    random.shuffle(order)
    store = imported(recording, order)
    try:
        held = store.read_trades(ETH)
        rows = [row for fragment in recording.fragments for row in fragment]
        assert held.ts.tolist() == [row[0] for row in rows]
        assert held.price.tolist() == [row[1] for row in rows], "identical fills are all kept"
        assert (held.id is None) == (not recording.with_ids)
        assert store.coverage(ETH, "trades").tolist() == covered_by_hand(recording)
    finally:
        drop(store)


@PATIENT
@given(recording=recordings())
def test_seconds_and_minutes_are_those_counted_by_hand(recording):
    store = imported(recording)
    try:
        source, wanted = StoreSource(store, ETH), seconds_by_hand(recording)
        first, last = min(wanted), max(wanted) + SECOND
        seconds = source.seconds(first, last)
        assert seconds.ts.tolist() == list(wanted)
        for name in next(iter(wanted.values())):
            by_hand = [row[name] for row in wanted.values()]
            np.testing.assert_allclose(getattr(seconds, name), by_hand, atol=1e-9, err_msg=name)
        bars, whole = source.bars("1m"), minutes_by_hand(recording)
        assert bars.ts.tolist() == list(whole), "of a minute that is cut nothing is shown"
        for name in ("open", "high", "low", "close", "volume", "count"):
            by_hand = [row[name] for row in whole.values()]
            np.testing.assert_allclose(getattr(bars, name), by_hand, atol=1e-9, err_msg=name)
    finally:
        drop(store)


@PATIENT
@given(recording=recordings())
def test_figures_and_checks_tell_of_every_hole(recording, capsys):
    store = imported(recording)
    try:
        capsys.readouterr()
        assert main(["info", "--store", store.url, "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)[ETH]["kinds"]["trades"]
        ts = np.array([row[0] for fragment in recording.fragments for row in fragment])
        assert (figures["rows"], figures["first"], figures["last"]) == (len(ts), ts[0], ts[-1])
        assert figures["gaps"] == int((np.diff(ts) > MINUTE).sum())
        assert figures["longest"] == int(np.diff(ts, prepend=ts[0]).max())
        assert main(["verify", "--store", store.url]) == 0
        told = capsys.readouterr().out
        holes = len(recording.fragments) - 1
        assert (f"{holes:,} stretches of time are not covered" in told) == (holes > 0)
        assert "0 violations" in told
        assert "are absent" not in told, "between recordings no number is lost"
    finally:
        drop(store)
