"""Nothing that was tried is forgotten, whoever writes and whoever is killed."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.ledger import Ledger, Touch, Trial, common_days, distinct
from apex_trader.market.leftovers import leftovers
from apex_trader.market.store import MarketStore

TRIAL = Trial("run-1", "test:ETH", "custom", "runs/1", "abc", 0, (0, 1), (10, 20), (0.1, -0.2),
              time=5, who="ada")  # fmt: skip
TOUCH = Touch("run-1", "runs/1", "best", "test:ETH", (30, 40), "train", 0.02, None, 2e-4, time=7,
              who="ada")  # fmt: skip


def test_what_is_written_is_read(tmp_path):
    ledger = Ledger(str(tmp_path / "deep" / "ledger"))
    assert ledger.trials("test:ETH") == []
    ledger.add(TRIAL)
    ledger.add(TOUCH)
    assert ledger.trials("test:ETH") == [TRIAL]
    assert ledger.touches("test:ETH", [40, 50]) == [TOUCH]
    assert ledger.touches("test:ETH", [50]) == []
    assert ledger.trials("test:BTC") == ledger.touches("test:BTC", [30]) == []


def test_it_lies_under_any_url():
    ledger = Ledger.of_store("memory://a-store")
    ledger.add(TRIAL)
    assert Ledger("memory://a-store/ledger").trials("test:ETH") == [TRIAL]


def test_a_resumed_run_is_one_trial_by_its_newest_entry(tmp_path):
    ledger = Ledger(str(tmp_path))
    ledger.add(TRIAL)
    ledger.add(replace(TRIAL, daily=(0.3, 0.3), time=9))
    ledger.add(replace(TRIAL, id="run-2", time=6))
    found = {trial.id: trial.daily for trial in ledger.trials("test:ETH")}
    assert found == {"run-1": (0.3, 0.3), "run-2": (0.1, -0.2)}


def test_folds_and_repetitions_of_a_configuration_and_seed_are_one_choice():
    trials = [
        TRIAL,
        replace(TRIAL, id="fold-2", days=(30, 40)),
        replace(TRIAL, id="other", seed=1),
        replace(TRIAL, id="third", configuration="xyz"),
    ]
    assert len(distinct(trials)) == 3


def test_only_trials_of_the_same_days_are_compared():
    trials = [
        TRIAL,
        replace(TRIAL, id="b", seed=1, daily=(0.5, 0.6)),
        replace(TRIAL, id="c", seed=2, days=(10, 30)),
    ]
    assert common_days(trials, [10, 20]).tolist() == [[0.1, 0.5], [-0.2, 0.6]]
    # a day on which nothing could be decided is in no trial
    assert common_days(trials, [10, 15, 20]).tolist() == [[0.1, 0.5], [-0.2, 0.6]]
    assert common_days(trials, [99]).shape == (0, 0)


def _write(folder: str, writer: int) -> None:
    ledger = Ledger(folder)
    for k in range(10):
        ledger.add(replace(TRIAL, id=f"{writer}-{k}", time=100))


def test_many_writers_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(tmp_path), k)) for k in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    ledger = Ledger(str(tmp_path))
    assert len(ledger.trials("test:ETH")) == 40
    assert ledger.unreadable == 0


def test_what_a_killed_writer_left_is_no_entry_and_what_is_broken_is_counted(tmp_path):
    ledger = Ledger(str(tmp_path))
    ledger.add(TRIAL)
    folder = Path(tmp_path) / "trials"
    (folder / "6-abc.json.tmp-99").write_text('{"id": ')
    assert (len(ledger.trials("test:ETH")), ledger.unreadable) == (1, 0)
    (folder / "7-abc.json").write_text("[]")
    (folder / "8-abc.json").write_text(json.dumps({"id": "x"}))
    assert (len(ledger.trials("test:ETH")), ledger.unreadable) == (1, 2)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ApexError, match="cannot write"):
        Ledger(str(tmp_path / "file")).add(TRIAL)


def test_a_store_does_not_take_its_ledger_for_rubbish(tmp_path):
    Ledger.of_store(str(tmp_path)).add(TRIAL)
    (tmp_path / "rubbish").write_text("")
    assert leftovers(MarketStore(str(tmp_path))) == ["rubbish"]


def test_numbers_come_back_to_the_last_bit(tmp_path):
    daily = tuple(np.random.default_rng(0).normal(size=2).tolist())
    Ledger(str(tmp_path)).add(replace(TRIAL, daily=daily))
    assert Ledger(str(tmp_path)).trials("test:ETH")[0].daily == daily
