"""An agent out of a run's folder: the one that was asked for, on the state it was trained on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from apex_trader.errors import ApexError, ConfigError, MismatchError
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.load_agent import check_agent, load_agent
from apex_trader.runtime.run_folder import RunFolder

pytestmark = pytest.mark.slow


def test_an_agent_knows_what_its_run_used_the_days_for(small_run: Path):
    folder = RunFolder(small_run)
    agent = load_agent(folder, load_config(folder).state.build())
    assert [len(agent.days[part]) for part in ("extractor", "agent", "validation", "test")] == [
        1, 3, 1, 3,
    ]  # fmt: skip
    assert agent.extractor is not None


def test_a_checkpoint_of_another_state_is_refused_with_both(small_run: Path):
    folder = RunFolder(small_run)
    other = load_config(folder).state.build().without("regime")
    with pytest.raises(MismatchError, match=r"step-0000\d0 was trained on another state"):
        load_agent(folder, other)


def test_a_checkpoint_whose_bytes_changed_is_refused(small_run: Path, tmp_path):
    folder = RunFolder(shutil.copytree(small_run, tmp_path / "run"))
    schema = load_config(folder).state.build()
    broken = folder.checkpoints / "step-000020" / "learner.pt"
    broken.write_bytes(broken.read_bytes()[:-10])
    with pytest.raises(ApexError, match=r"bytes where .* were saved"):
        load_agent(folder, schema, "step-000020")


def test_a_run_without_its_extractor_says_which_file_is_missing(small_run: Path, tmp_path):
    folder = RunFolder(shutil.copytree(small_run, tmp_path / "run"))
    for file in folder.extractors.iterdir():
        file.unlink()
    with pytest.raises(ApexError, match=r"\.pt is missing: the run's extractor cannot be loaded"):
        load_agent(folder, load_config(folder).state.build())


def test_costs_and_market_may_differ_from_those_the_agent_was_trained_with(small_run: Path):
    saved = load_config(RunFolder(small_run))
    cheap = replace(saved.trading, fee=0.0, instrument="spot", funding=False)
    check_agent(saved, replace(saved, trading=cheap, market=replace(saved.market, reference="")))
    shaped = replace(saved.reward, risk=0.0, pivot_bonus=0.0)
    check_agent(saved, replace(saved, reward=shaped))
    with pytest.raises(ConfigError, match="trained with 1000"):  # the unit of all its values
        check_agent(saved, replace(saved, reward=replace(shaped, scale=1.0)))
    with pytest.raises(ConfigError, match="trained with 'target'"):
        check_agent(saved, replace(saved, trading=replace(cheap, action_set="sell_buy")))
