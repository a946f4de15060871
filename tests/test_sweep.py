"""A sweep: several runs from one command line, one W&B group for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apex_trader.errors import ApexError
from apex_trader.runtime.compose import check_overrides, load_config
from apex_trader.runtime.run_folder import RunFolder
from tests.conftest import SMALL

PROJECT = Path(__file__).parents[1]
#: What a sweep must not say of a group for the second time, since it is set otherwise.
TWICE = ("replay={max_insert", "periods=", "wandb")


def in_group(recording: Path, group: str) -> bool:
    """Whether W&B's client recorded a run under a group: in its own field, not the config."""
    from wandb.proto.wandb_internal_pb2 import RunRecord

    return RunRecord(run_group=group).SerializeToString() in recording.read_bytes()


def sweep(folder: Path, market: Path, *more: str) -> list[RunFolder]:
    """Two seeds, W&B's real client offline; the runs' folders."""
    words = [word for word in SMALL if not word.startswith(TWICE)]
    # no test days: a report of each would be most of the time
    words += ["replay.max_insert=32", "replay.error_buffer=72",
              "periods={extractor: 0.25, validation: 0.17, test: 0.0}"]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-m", "apex_trader.train", *words, f"market.store={market}",
         "-m", "seed=1,2", "wandb.mode=offline", f"hydra.sweep.dir={folder}/seeds/first", *more],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [RunFolder(folder / "seeds" / "first" / number) for number in "01"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_runs_of_a_sweep_are_one_group_and_end_with_a_result_each(small_market, tmp_path):
    runs = sweep(tmp_path, small_market)
    assert [load_config(run).seed for run in runs] == [1, 2]
    for run in runs:
        assert load_config(run).wandb.group == "seeds/first"
        assert run.result.is_file()
        (recording,) = (run.path / "wandb").glob("offline-run-*/*.wandb")
        assert in_group(recording, "seeds/first")
        assert not in_group(recording, "quickstart")


def test_a_group_of_the_users_own_stays():
    """And a run alone has none but its experiment's."""
    from hydra.conf import HydraConf
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from apex_trader.runtime.compose import compose_config, plain
    from apex_trader.train import _resolve, _sweep_group

    alone = OmegaConf.structured(HydraConf(mode=RunMode.RUN))
    assert _sweep_group(alone) == ""
    many = OmegaConf.structured(HydraConf(mode=RunMode.MULTIRUN))
    many.sweep.dir = "runs/quickstart/sweep-1"
    assert _sweep_group(many) == "quickstart/sweep-1"
    for given, wanted in (("", "quickstart/sweep-1"), ("mine", "mine")):
        config = compose_config(["+experiment=quickstart", f"wandb.group='{given}'"])
        composed = OmegaConf.create(plain(config))
        assert _resolve(composed, [], _sweep_group(many)).wandb.group == wanted


def test_a_setting_that_is_set_twice_is_refused_in_a_sweep():
    """Hydra's sweeper would leave out the first without a word; a single run takes both."""
    words = ["+experiment=quickstart", "train={updates: 7}", "train={seconds: 9}"]
    check_overrides(words)
    with pytest.raises(ApexError, match="train is set twice"):
        check_overrides(["-m", *words, "seed=1,2"])
