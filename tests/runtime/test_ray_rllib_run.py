"""RLlib's DQN as a run, small: to its budget, judged as ours, resumable, stopped by a signal."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
import torch
from gymnasium.utils.env_checker import check_env
from ray.exceptions import RayActorError

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import ClusterConfig, Config
from apex_trader.runtime.load_agent import load_agent
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.parts import judged_network
from apex_trader.runtime.ray_rllib_algorithm import make_algorithm
from apex_trader.runtime.ray_rllib_market import (
    MARKET,
    MarketBoard,
    SharedMarket,
    make_environment,
)
from apex_trader.runtime.ray_rllib_run import RllibRun, check_replay
from apex_trader.runtime.ray_segments import Market
from apex_trader.runtime.rllib_config import RllibConfig
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.session import Session
from apex_trader.train import train
from learner.checkpoint import CheckpointManager
from tests.conftest import JUDGED
from tests.runtime.documented import undocumented
from tests.runtime.processes import CODES, start, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow]

UPDATES = 30
RLLIB = RllibConfig(hidden=(16, 8), capacity=2000, envs=1, epsilon_steps=150)
CLUSTER = ClusterConfig(cpus=2, actor_cpus=0.5, object_store_mb=128)


def readings(folder: RunFolder, group: str) -> list[dict[str, Any]]:
    return [line for line in folder.readings() if line["group"] == group]


def newest(folder: RunFolder) -> Any:
    checkpoint = CheckpointManager(str(folder.checkpoints)).latest()
    assert checkpoint is not None
    return checkpoint


@pytest.fixture(scope="module")
def peer(tiny: Config) -> Config:
    """The tiny run, learned by RLlib; its days rotate."""
    rhythm = replace(tiny.train, updates=UPDATES, evaluate_every=10, checkpoint_every=10)
    return replace(tiny, agent="rllib_dqn", runtime="ray", rllib=RLLIB, cluster=CLUSTER,
                   train=rhythm)  # fmt: skip


@pytest.fixture(scope="module")
def finished(peer: Config, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that came to its end."""
    folder = RunFolder(tmp_path_factory.mktemp("rllib") / "run")
    train(peer, folder)
    return folder


def learn(config: Config, folder: RunFolder) -> MarketData:
    """The run without its judgement."""
    data = MarketData(config, folder)
    with Session(config, folder, data.schema) as session:
        RllibRun(config, data, session).run()
    return data


def keys(value: Any, place: str = "") -> set[str]:
    """Names of a result's entries, of lists and of what stands for single policies their places."""
    if not isinstance(value, dict):
        return {place}
    return {found for name, inner in value.items() for found in keys(inner, f"{place}/{name}")}


def test_it_is_judged_as_our_agent_is(finished: RunFolder, small_run: Path):
    result = json.loads(finished.result.read_text())
    ours = json.loads((small_run / "result.json").read_text())
    assert set(result) == set(ours)
    for part in ("schema", "periods", "agent", "ledger"):
        assert set(result[part]) == set(ours[part]), part
    assert set(result["backtest"]) == set(ours["backtest"]) == JUDGED
    assert keys(result["backtest"]) == keys(ours["backtest"])
    assert set(result["evaluation"]) == set(ours["evaluation"])
    assert result["agent"]["system"] == "rllib_dqn"
    assert result["agent"]["extractor"] is not None
    assert finished.report.is_file()


def test_the_checkpoint_was_chosen_on_validation_days(finished: RunFolder):
    judged = {r["eval/updates"]: r["eval/net_return"] for r in readings(finished, "eval")}
    best = CheckpointManager(str(finished.checkpoints)).best()
    assert set(judged) == {10.0, 20.0, 30.0}
    assert best is not None
    assert best.value == max(judged.values())
    assert judged[float(best.name.removeprefix("step-"))] == best.value
    result = json.loads(finished.result.read_text())
    assert result["agent"]["checkpoint"] == best.name


def test_its_metrics_are_the_runs_and_the_pace_is_kept(finished: RunFolder, peer: Config):
    found = finished.readings()
    assert {r["group"] for r in found} == {
        "pretrain", "actors", "replay", "learner", "eval", "system",
    }  # fmt: skip
    assert undocumented({name for reading in found for name in reading}) == []
    last = {k: v for reading in found for k, v in reading.items()}
    assert last["learner/updates"] == UPDATES
    assert last["replay/samples"] == UPDATES * peer.learner.batch_size
    # the update after which min_size decisions are there is the first
    decisions = peer.replay.min_size + (UPDATES - 1) * peer.decisions_per_update
    assert last["actors/decisions"] == last["replay/inserted"] == decisions
    assert last["actors/epsilon"] == pytest.approx(peer.rllib.epsilon_end)


@pytest.mark.faults  # minutes: with the long stories
def test_a_resumed_run_goes_on_with_the_same_weights(
    finished: RunFolder, peer: Config, tmp_path: Path
):
    """Learner, optimiser, counters; a new replay is filled before the next update."""
    import shutil

    folder = RunFolder(tmp_path / "copy")
    shutil.copytree(finished.path, folder.path)
    (folder.path / ".lock").unlink(missing_ok=True)
    saved = newest(folder).state("rllib.pt")
    before = len(folder.readings())
    longer = replace(load_config(folder), resume=str(folder.path))
    longer = replace(longer, train=replace(longer.train, updates=UPDATES + 5))
    learn(longer, folder)
    checkpoint = newest(folder)
    assert checkpoint.json("run.json")["updates"] == UPDATES + 5
    steps = checkpoint.state("rllib.pt")["optimizer"]["default_policy_default_optimizer"]["state"]
    assert float(steps["state"][0]["step"]) == UPDATES + 5, "Adam goes on as well"
    module = checkpoint.state("rllib.pt")["rl_module"]["default_policy"]
    moved = [np.abs(module[k] - v).max() for k, v in saved["rl_module"]["default_policy"].items()]
    assert 0.0 < max(moved) < 10 * peer.learner.learning_rate, "five updates from where it was"
    after = folder.readings()[before:]
    assert not any(r["group"] == "pretrain" for r in after)
    assert min(r["learner/updates"] for r in after if r["group"] == "learner") > UPDATES
    first = next(r for r in after if r["group"] == "actors")
    assert first["actors/decisions"] > readings(finished, "actors")[-1]["actors/decisions"]
    assert newest(folder).json("run.json")["sitting"] == 1


def test_what_was_trained_cannot_be_changed_on_resume(finished: RunFolder):
    changed = load_config(finished, ["rllib.hidden=[4]"])
    with pytest.raises(ConfigError, match=r"rllib\.hidden"):
        train(replace(changed, resume=str(finished.path)), finished)


def test_nothing_is_left_running(finished: RunFolder):
    running = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs([p for p in running if "ray" in p.name().lower()], timeout=20)
    assert [p.name() for p in alive] == []


@pytest.mark.faults  # minutes: with the long stories
def test_the_same_network_in_another_process(peer: Config, tmp_path: Path):
    """Our network as RLlib's module, its environment in a runner of its own."""
    config = replace(
        peer, rllib=replace(RLLIB, network="dueling", env_runners=1),
        train=replace(peer.train, updates=4, evaluate_every=4, checkpoint_every=4),
    )  # fmt: skip
    folder = RunFolder(tmp_path / "run")
    data = learn(config, folder)
    agent = load_agent(folder, data.schema)
    assert agent.updates == 4
    state = newest(folder).state("rllib.pt")["rl_module"]["default_policy"]
    assert {f"encoder.{name}" for name in agent.weights} <= set(state)
    judged_network(config, data.schema, data.trading).load_state_dict(dict(agent.weights))


@pytest.mark.faults
@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", [signal.SIGINT])
def test_a_stopped_run_leaves_a_checkpoint_to_go_on_from(
    peer: Config, tmp_path: Path, number: signal.Signals
):
    process, path = start(peer, tmp_path)
    try:
        wait_for(process, path / "metrics.jsonl", "learner")
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == CODES[number], err
    folder = RunFolder(path)
    assert newest(folder).json("run.json")["updates"] > 0
    assert "Traceback" not in err
    assert "resume=" in out + err


@pytest.fixture
def shared(peer: Config, tmp_path: Path) -> Any:
    """(market as environments share it, the board that it follows, how to post days there)."""
    ray.init(num_cpus=2, object_store_memory=128 * 2**20, include_dashboard=False,
             log_to_driver=False, logging_level="ERROR")  # fmt: skip
    try:
        data = MarketData(peer, RunFolder(tmp_path / "run"))
        config = replace(peer, state=replace(peer.state, without=("cnn_hidden", "cnn_predictions")),
                         reward=replace(peer.reward, cnn_potential=0.0))  # fmt: skip
        data = MarketData(config, RunFolder(tmp_path / "run"))
        board = ray.remote(num_cpus=0.1)(MarketBoard).remote(config)
        agent = data.numbers(data.periods.agent)

        def post(version: int, numbers: list[int]) -> None:
            segments = tuple(ray.put(data.segment(n)) for n in numbers)
            market = Market(tuple(numbers), segments, (), None)
            ray.get(board.post.remote(version, [ray.put(market)]))

        post(1, agent[:1])
        yield SharedMarket(board, config, data.trading, data.periods.agent_from), post, agent
    finally:
        ray.shutdown()


def test_environments_share_tables_keep_the_contract_and_follow_the_days(shared: Any):
    market, post, agent = shared
    first, second = (make_environment({MARKET: market}) for _ in range(2))
    check_env(first, skip_render_check=True)
    assert first.unwrapped._market_state is second.unwrapped._market_state
    days = market.newest()[0]
    assert first.unwrapped.simulator.path is days
    first.reset(seed=0)
    post(2, agent[1:2])
    first.step(0)
    assert first.unwrapped.simulator.path is days, "an episode ends where it began"
    first.reset()
    assert first.unwrapped.simulator.path is not days
    second.reset()
    assert second.unwrapped.simulator.path is first.unwrapped.simulator.path


def test_rllib_samples_states_of_the_training_days_alone(shared: Any):
    """Its own runner takes the environment; what it stores are our states and shaped rewards."""
    market, _, _ = shared
    torch.manual_seed(0)
    algorithm = make_algorithm(market.config, market, done=0, seed=0)
    try:
        episodes = algorithm.env_runner.sample(num_timesteps=40)
    finally:
        algorithm.stop()
    path, states, _ = market.newest()
    steps = 0
    for episode in episodes:
        for t in range(len(episode) + 1):
            info, state = episode.get_infos(t), episode.get_observations(t)
            assert info["ts"] >= market._agent_from
            assert path.arrays.ts[info["row"]] == info["ts"]
            np.testing.assert_array_equal(state[:-8], states(np.array([info["row"]]))[0])
        steps += len(episode)
        rewards = [float(r) for r in episode.get_rewards()]
        told = [sum(i["terms"].values()) + i["shaping"] for i in episode.get_infos()[1:]]
        assert rewards == pytest.approx(told, rel=1e-5, abs=1e-5)
    assert steps >= 40


def test_a_replay_that_memory_cannot_hold_is_refused(peer: Config):
    huge = replace(peer, rllib=replace(RLLIB, capacity=10**12))
    with pytest.raises(ConfigError, match=r"rllib\.capacity"):
        check_replay(huge, huge.state.build())


@pytest.mark.faults  # minutes: with the long stories
def test_a_loss_that_is_no_number_ends_the_run_with_a_remedy(
    peer: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = RunFolder(tmp_path / "run")
    data = MarketData(peer, folder)
    with Session(peer, folder, data.schema) as session:
        run = RllibRun(peer, data, session)
        run._before = 0
        from apex_trader.runtime.rllib_results import Readings

        run.readings = Readings(peer)
        module = {"num_module_steps_trained": peer.learner.batch_size, "qf_loss": float("nan")}
        result = {"env_runners": {"num_env_steps_sampled_lifetime": 1.0},
                  "learners": {"default_policy": module}}  # fmt: skip
        with pytest.raises(ApexError, match=r"lower learner\.learning_rate"):
            run._take(result)


@pytest.mark.faults  # minutes: with the long stories
def test_a_part_that_died_ends_the_run_with_the_way_to_go_on(
    peer: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from apex_trader.runtime import ray_rllib_run

    def build(run: RllibRun, checkpoint: Any) -> None:
        raise RayActorError

    monkeypatch.setattr(ray_rllib_run, "connect", lambda *_: None)
    monkeypatch.setattr(RllibRun, "_build", build)
    with pytest.raises(ApexError, match="resume="):
        learn(peer, RunFolder(tmp_path / "run"))
