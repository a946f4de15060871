"""Settings that a resumed run must keep, and those that it may change."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from apex_trader.errors import ConfigError
from apex_trader.runtime.config import Config
from apex_trader.runtime.resume import check_resumable


def test_budget_rhythm_and_runtime_may_change(tiny: Config):
    longer = replace(tiny.train, updates=10**6, evaluate_every=7)
    slower = replace(tiny.learner, learning_rate=1e-5)
    check_resumable(tiny, replace(tiny, train=longer, learner=slower, runtime="ray", resume="x"))


def changed(config: Config, name: str, value: Any) -> Config:
    """The configuration with one setting of a group changed."""
    group, _, field = name.partition(".")
    return replace(config, **{group: replace(getattr(config, group), **{field: value})})


def test_every_reward_that_is_stored_is_fixed_and_no_other(tiny: Config):
    """Potentials are added when a batch is gathered, so stored experience knows nothing of them."""
    fixed = []
    for name, value in asdict(tiny.reward).items():
        other = (*value[:-1], 9 * value[-1]) if isinstance(value, tuple) else 0.5 + 2 * value
        try:
            check_resumable(tiny, changed(tiny, f"reward.{name}", other))
        except ConfigError as error:
            fixed.append(error.field.removeprefix("reward."))
    assert fixed == [
        n for n in asdict(tiny.reward) if n not in ("pivot_potential", "cnn_potential")
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learner.decay_updates", 7), ("learner.mirror_share", 0.0), ("replay.beta", 0.9),
        ("replay.share_extrema", 0.0), ("replay.samples_per_insert", 2.0),
        ("rollout.epsilon_base", 0.1), ("rollout.collect_steps", 2), ("pretrain.steps", 3),
        ("evaluation.draws", 7), ("market.store", "moved"), ("rllib.episode_steps", 9),
    ],
)  # fmt: skip
def test_what_nothing_saved_depends_on_may_change(tiny: Config, name: str, value: Any):
    check_resumable(tiny, changed(tiny, name, value))


def test_a_refusal_says_what_the_run_has_and_what_to_do(tiny: Config):
    with pytest.raises(ConfigError) as caught:
        check_resumable(tiny, changed(tiny, "reward.scale", 1.0))
    assert str(caught.value) == (
        "reward.scale=1.0 cannot be used: 1000.0, which the run was started with: start a new run "
        "for another value"
    )


@pytest.mark.parametrize(("name", "value"), [("rollout.lanes", 16), ("rollout.branches", 4)])
def test_only_lanes_that_go_on_where_they_stood_keep_their_number(
    tiny: Config, name: str, value: int
):
    with pytest.raises(ConfigError, match=f"{name}.*started with"):
        check_resumable(tiny, changed(tiny, name, value))
    check_resumable(tiny, changed(replace(tiny, runtime="ray"), name, value))
    live = changed(tiny, "rollout.source", "stream")
    check_resumable(tiny, changed(live, name, value))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("seed", lambda c: replace(c, seed=c.seed + 1)),
        ("periods.test", lambda c: replace(c, periods=replace(c.periods, test=0.4))),
        ("network.hidden", lambda c: replace(c, network=replace(c.network, hidden=64))),
        ("state.window", lambda c: replace(c, state=replace(c.state, window=64))),
        ("state.without", lambda c: replace(c, state=replace(c.state, without=("regime",)))),
        ("cnn.trunk", lambda c: replace(c, cnn=replace(c.cnn, trunk=64))),
        ("trading.action_set",
         lambda c: replace(c, trading=replace(c.trading, action_set="sell_buy"))),
        ("market.reference", lambda c: replace(c, market=replace(c.market, reference=""))),
        ("trading.fee", lambda c: changed(c, "trading.fee", 0.0005)),
        ("trading.ruin_fraction", lambda c: changed(c, "trading.ruin_fraction", 0.5)),
        ("execution.latency", lambda c: changed(c, "execution.latency", 0.5)),
        ("rollout.n_step", lambda c: changed(c, "rollout.n_step", 5)),
        ("rollout.gamma", lambda c: changed(c, "rollout.gamma", 0.9)),
        ("replay.alpha", lambda c: changed(c, "replay.alpha", 0.3)),
        ("replay.capacity", lambda c: changed(c, "replay.capacity", 40_000)),
    ],
)  # fmt: skip
def test_what_the_checkpoint_depends_on_may_not(tiny: Config, name: str, change):
    with pytest.raises(ConfigError, match=f"{name}.*started with"):
        check_resumable(tiny, change(tiny))
