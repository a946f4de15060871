"""What RLlib's DQN can be told, and what it cannot do is refused before anything is done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ConfigError
from apex_trader.runtime.compose import check_overrides, compose_config
from apex_trader.runtime.ray_rllib_market import longest_episode
from apex_trader.runtime.rllib_config import RllibConfig

PEER = "+experiment=rllib_dqn"


def test_the_experiment_is_quickstart_with_another_learner():
    peer, own = compose_config([PEER]), compose_config(["+experiment=quickstart"])
    assert peer.agent == "rllib_dqn"
    assert own.agent == "apex"
    for part in ("market", "periods", "state", "execution", "trading", "reward", "network", "cnn",
                 "pretrain", "rollout", "replay", "learner", "train", "evaluation"):  # fmt: skip
        assert getattr(peer, part) == getattr(own, part), part


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("rllib.network=transformer", "one of mlp, dueling"),
        ("rllib.hidden=[]", "one width or more"),
        ("rllib.hidden=[0]", "at least 1"),
        ("rllib.activation=selu", "one of tanh, relu"),
        ("rllib.capacity=0", "at least 1"),
        ("rllib.n_step=0", "at least 1"),
        ("rllib.capacity=100", "at least replay.min_size=4096"),
        ("rllib.envs=64", "fewer than 192"),
        ("rllib.episode_steps=-1", "at least 0"),
        ("rllib.epsilon_end=2", "between 0 and 1"),
        ("runtime=serial", "ray with agent=rllib_dqn, on which RLlib runs"),
        ("learner.huber_delta=0.5", "which RLlib's loss has"),
        ("train.pretrain_every=100", "states of the extractor that made them"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(change: str, said: str):
    with pytest.raises(ConfigError) as refused:
        compose_config([PEER, change])
    assert change.partition("=")[0] in str(refused.value)
    assert said in str(refused.value)


def test_a_live_market_is_not_for_it():
    live = ["+experiment=eth_full", "rollout.source=stream"]
    assert compose_config(live).agent == "apex"
    with pytest.raises(ConfigError, match="RLlib steps recorded days"):
        compose_config([*live, "agent=rllib_dqn"])


def test_the_others_may_do_what_it_cannot():
    compose_config(["+experiment=quickstart", "rollout.outcomes=all", "learner.huber_delta=0.5"])


@settings(max_examples=60)
@given(
    start=st.floats(0, 1), end=st.floats(0, 1), steps=st.integers(1, 10_000),
    before=st.integers(0, 20_000), later=st.integers(0, 20_000),
)  # fmt: skip
def test_exploration_goes_on_where_a_resumed_run_had_stopped(start, end, steps, before, later):
    """RLlib counts its own decisions from 0 again, and interpolates between the points given."""
    config = RllibConfig(epsilon_start=start, epsilon_end=end, epsilon_steps=steps)
    schedule = config.epsilon_schedule(before)
    if isinstance(schedule, float):
        assert before >= steps
        found = schedule
    else:
        (first, high), (last, low) = schedule
        assert first == 0
        found = high + (low - high) * min(later / last, 1.0)
    assert found == pytest.approx(config.epsilon_at(before + later), abs=1e-9)


def test_the_audit_says_whose_parts_it_proves(capsys):
    from apex_trader.audit import main

    assert main([PEER]) == 2
    assert "RLlib's are not among them" in capsys.readouterr().err


def test_both_systems_can_be_swept_over():
    check_overrides(["-m", "+experiment=quickstart", "agent=apex,rllib_dqn", "seed=1,2"])


@pytest.mark.parametrize(
    ("ours", "theirs", "cut"), [(0, 0, None), (0, 512, 512), (100, 512, 100), (900, 0, 900)]
)
def test_an_episode_ends_where_the_first_of_both_cuts_it(ours: int, theirs: int, cut: int | None):
    words = [f"rollout.episode_steps={ours}", f"rllib.episode_steps={theirs}"]
    assert longest_episode(compose_config([PEER, *words])) == cut
