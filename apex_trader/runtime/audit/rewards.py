"""Each reward term: there, in the reward, and gone with its weight; the potentials likewise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from actors.rollout import RolloutWorker
from apex_trader.experience import Sample
from apex_trader.runtime.audit.findings import Probe, Status
from apex_trader.runtime.audit.pipeline import Pipeline
from apex_trader.runtime.audit.update import update_effect
from apex_trader.runtime.audit.walk import Walk, walk
from apex_trader.runtime.parts import make_learner, make_network
from apex_trader.trading.config import RewardConfig
from apex_trader.trading.rewards import DURATION, FREQUENCY, PIVOT, TERMS
from learner.update import Learner

GROUP = "reward"
#: The weight of each stored term, in the order of TERMS.
WEIGHTS = ("core", "frequency", "risk", "duration", "pivot_bonus")
POTENTIALS = ("pivot_potential", "cnn_potential")
_OFF = "its weight is 0 in the configuration"


def probe_rewards(line: Pipeline) -> Iterator[Probe]:
    """Every stored term, in the simulator that the rollout uses, and in its transitions."""
    reward, base = line.config.reward, _walk(line, line.run.rollout.reward)
    for k, weight in enumerate(WEIGHTS):
        if getattr(reward, weight) == 0.0:
            yield Probe(GROUP, f"reward.{weight} → reward", "–", "off", _OFF)
        else:
            yield _term(line, base, k, weight)
    if reward.frequency and reward.choppy_factor:
        yield _choppiness(line, base)
    yield _transitions(line)


def probe_potentials(line: Pipeline, sample: Sample) -> Iterator[Probe]:
    """Both potentials, in the learner's target: taken away, the TD errors are others."""
    known = update_effect(line.run.learner, sample)
    for name in POTENTIALS:
        connection = f"reward.{name} → TD error"
        if getattr(line.config.reward, name) == 0.0:
            yield Probe(GROUP, connection, "–", "off", _OFF)
            continue
        if name == "cnn_potential" and not line.data.schema.has("cnn_predictions"):
            yield Probe(GROUP, connection, "–", "off", "the state has no predictions")
            continue
        without = update_effect(_without(line, name), sample)
        change = float(np.abs(without.td - known.td).mean())
        yield Probe.judged(
            GROUP, connection, f"mean Δ|TD| {change:.2e}", change > 0,
            "the learner's target does not contain the potential",
        )  # fmt: skip


def _less(line: Pipeline, weights: Sequence[str]) -> RewardConfig:
    """The rollout's reward with some weights at 0."""
    zeros: dict[str, Any] = dict.fromkeys(weights, 0.0)
    return replace(line.run.rollout.reward, **zeros)


def _walk(line: Pipeline, reward: RewardConfig) -> Walk:
    rollout = line.run.rollout
    return walk(rollout.market.path, rollout.trading, reward, line.config.seed)


def _term(line: Pipeline, base: Walk, k: int, weight: str) -> Probe:
    connection, own = f"reward.{weight} → reward", base.terms[..., k]
    share = float((own != 0).mean())
    effect = f"{TERMS[k]}: in {share:.2%} of {base.steps:,} steps, mean |term| {_mean(own):.2e}"
    if share == 0.0:
        status, note = _silent(line, base, k)
        return Probe(GROUP, connection, effect, status, note)
    less = _walk(line, _less(line, (weight,))).terms
    others = np.delete(np.arange(len(TERMS)), k)
    exact = not less[..., k].any() and np.array_equal(less[..., others], base.terms[..., others])
    return Probe.judged(
        GROUP, connection, effect, exact, "without its weight, other terms change or it stays"
    )


def _silent(line: Pipeline, base: Walk, k: int) -> tuple[Status, str]:
    """A term that was 0 at every step: for want of an example, or because it is cut off."""
    reward, nothing = line.config.reward, f"no example in {base.steps:,} steps"
    events = len(line.run.rollout.market.path.events)
    excuses = {
        FREQUENCY: (base.busiest <= 1.0, "no trade rate rose above trading.trade_allowance"),
        DURATION: (all(f == 1.0 for f in reward.duration_factors) or base.traded == 0,
                   "every factor is 1, or nothing was traded"),
        PIVOT: (events == 0 or not any(reward.pivot_level_weights),
                "no pivot of level 2 or more was confirmed, or no level has a weight"),
    }  # fmt: skip
    excused, why = excuses.get(k, (False, ""))
    if excused:
        return "warning", f"{nothing}: {why}"
    return "hole", f"0 in each of {base.steps:,} steps, though its weight is above 0"


def _choppiness(line: Pipeline, base: Walk) -> Probe:
    even = _walk(line, replace(line.run.rollout.reward, choppy_factor=0.0)).terms
    change = _mean(even[..., FREQUENCY] - base.terms[..., FREQUENCY])
    chop = line.run.rollout.market.path.arrays.choppiness
    connection, effect = "regime → frequency term", f"mean change {change:.2e}"
    if not chop.any() or not base.terms[..., FREQUENCY].any():
        return Probe(GROUP, connection, effect, "warning", "no choppy time, or no busy one")
    return Probe.judged(
        GROUP, connection, effect, change > 0, "the term does not follow the regime's choppiness"
    )


def _transitions(line: Pipeline) -> Probe:
    """Stored rewards are those terms and no more: with all weights at 0 they vanish."""
    silent = _less(line, WEIGHTS)
    rewards = [
        RolloutWorker(
            line.run.rollout.market, make_network(line.config, line.data.schema, line.data.trading),
            line.config.rollout, line.data.trading, reward, seed=line.config.seed,
        ).collect(8).transitions.reward
        for reward in (line.run.rollout.reward, silent)
    ]  # fmt: skip
    there, gone = (_mean(r) for r in rewards)
    holds = gone == 0.0 and (there > 0 or not any(getattr(line.config.reward, w) for w in WEIGHTS))
    return Probe.judged(
        GROUP, "reward terms → transitions",
        f"mean |n-step reward| {there:.2e}, {gone:.0e} with all weights at 0", holds,
        "the stored reward is not made of its terms",
    )  # fmt: skip


def _without(line: Pipeline, potential: str) -> Learner:
    """A learner like the run's in all but one potential."""
    zero: dict[str, Any] = {potential: 0.0}
    reward = replace(line.config.reward, **zero)
    config = replace(line.config, reward=reward)
    learner = make_learner(config, line.data.schema, line.data.trading, line.run.arena)
    learner.load_state_dict(line.run.learner.state_dict())
    return learner


def _mean(values: np.ndarray) -> float:
    return float(np.abs(values).mean()) if values.size else 0.0
