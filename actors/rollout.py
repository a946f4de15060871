"""The rollout: many lanes step together and turn what happens into experience."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from actors.all_actions import AllActions
from actors.config import RolloutConfig
from actors.episode_log import EpisodeLog
from actors.exploration import Exploration, actor_epsilons
from actors.market import RolloutMarket
from actors.policy import BatchedPolicy, greedy
from actors.potentials import Potentials
from actors.recorder import Finished, Recorder
from actors.replay.tags import Tag
from actors.taken import TakenActions
from apex_trader.errors import MismatchError
from apex_trader.experience import (
    EXTREMA,
    MAIN,
    MOVEMENT,
    POSITIVE,
    Transitions,
    outcome_type,
)
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.simulator import Simulator, Step, movement_flags

Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class RolloutResult:
    """What one ``collect`` brings. priorities [m] float32: |TD error| of each transition.

    tags: for the stratum "extrema"; deliver them after the transitions. steps: decisions taken,
    over all lanes. metrics: keys under ``actors/``.
    """

    transitions: Transitions
    priorities: F32
    tags: list[Tag]
    steps: int
    metrics: dict[str, float]


class RolloutWorker:
    """Steps lanes over random days of a market with an ε-greedy policy.

    Lanes are arranged as ``branches`` × ``groups``: lanes g, g + groups, … stand at one market
    time and share its encoding. An episode starts at a random decidable row, all equally likely,
    and goes on to the end of its day or to a gap (or ``episode_steps``), which cuts it, or to
    ruin, which ends it: then that lane alone starts anew, at the market time of its group.

    What a step becomes is the ``Recorder``'s: a transition of the action taken, or of every action
    (``RolloutConfig.outcomes``). Potentials are part of initial priorities, as they are of the
    learner's.

    Args:
        market: segments to roll out on.
        network: of the acting policy; its weights are replaced by ``set_weights``.
        config, trading, reward: of the parts.
        actor, actors: number of this actor and how many there are.
        seed: of the run; the actor's number is mixed in.
    """

    #: The market goes on while the lanes stand in it.
    GROWING: ClassVar[bool] = False

    def __init__(
        self,
        market: RolloutMarket,
        network: DuelingQNetwork,
        config: RolloutConfig,
        trading: TradingConfig,
        reward: RewardConfig,
        *,
        actor: int = 0,
        actors: int = 1,
        seed: int = 0,
    ) -> None:
        self.config, self.trading, self.reward = config, trading, reward
        self._random = np.random.default_rng([seed, actor])
        kept = config.groups * (config.n_step + 2) if config.outcomes == "all" else 0
        self.policy = BatchedPolicy(network, market.tables, kept)
        self._exploration = Exploration(config.lanes, config.explore_decisions, self._random)
        self._recorder = _recorder(config)
        self.set_ladder(actor, actors)
        self._age = np.zeros(config.groups, np.int64)
        self._tags: dict[int, list[I64]] = {}
        self._install(market)
        self._log = EpisodeLog(config.lanes, self.simulator.actions.names, trading.initial_equity)
        self._start_all()

    def set_ladder(self, actor: int, actors: int) -> None:
        """Recompute ε of the lanes: the number of actors changed."""
        config = self.config
        self.epsilon = actor_epsilons(
            actor, actors, config.lanes, config.epsilon_base, config.epsilon_exponent
        )

    def set_weights(self, version: int, weights: Mapping[str, Tensor]) -> None:
        """Act with the learner's weights of a version from the next decision on."""
        self.policy.set_weights(version, weights)

    def set_market(self, market: RolloutMarket) -> RolloutResult:
        """Go on on other segments: every episode is cut where it stands and a new one starts.

        Returns the experience that was still open, whose references are those of the old market.
        """
        if self._recorder.open:
            self._look()
            self._recorder.cut(self.simulator.rows, self.simulator.features())
        result = self._deliver(0, 0.0, None)
        self._install(market)
        self._log.abandon(np.arange(self.config.lanes))
        self._start_all()
        return result

    def collect(self, steps: int | None = None, latest_version: int | None = None) -> RolloutResult:
        """Step every lane ``steps`` times (default ``collect_steps``) and deliver what came of it.

        latest_version: of the learner's weights, for the policy lag; unknown when None. The
        transitions of the very last step wait for the next call.
        """
        steps, started, taken = steps or self.config.collect_steps, time.perf_counter(), 0
        while taken < steps * self.config.lanes and self._more():
            self._step()
            taken += self.config.lanes
        return self._deliver(taken, time.perf_counter() - started, latest_version)

    def state_dict(self) -> dict[str, Any]:
        """Everything but ε, which the configuration says, for an exact resume on these segments."""
        return {
            "simulator": self.simulator.state_dict(),
            "lanes": self.config.lanes,
            "outcomes": self.config.outcomes,
            "recorder": self._recorder.state_dict(),
            "log": self._log.state_dict(),
            "random": self._random.bit_generator.state,
            "age": self._age.copy(),
            "policy": self.policy.state_dict(),
            "exploration": self._exploration.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``. MismatchError when segments, lanes or n differ."""
        if state["lanes"] != self.config.lanes:
            raise MismatchError("the rollout was saved with another rollout.lanes")
        if len(state["age"]) != self.config.groups:
            raise MismatchError("the rollout was saved with another rollout.branches")
        if state["outcomes"] != self.config.outcomes:
            raise MismatchError("the rollout was saved with another rollout.outcomes")
        self.simulator.load_state_dict(state["simulator"])
        self._recorder.load_state_dict(state["recorder"])
        self._log.load_state_dict(state["log"])
        self._random.bit_generator.state = state["random"]
        self._age = state["age"].copy()
        self._tags = {}
        self.policy.load_state_dict(state["policy"])
        self._exploration.load_state_dict(state["exploration"])

    def _install(self, market: RolloutMarket) -> None:
        self.market = market
        self.simulator = Simulator(
            market.path, self.trading, self.reward, self.config.lanes, growing=self.GROWING
        )
        self.policy.tables = market.tables
        self._potentials = Potentials(market.tables, self.reward)
        self._starts = np.flatnonzero(market.path.startable)

    def _more(self) -> bool:
        """Whether another decision can be taken now."""
        return True

    def _start_all(self) -> None:
        config = self.config
        self._age[:] = 0
        rows = self._starts[self._random.integers(0, len(self._starts), config.groups)]
        self.simulator.reset(np.arange(config.lanes), np.tile(rows, config.branches))

    def _step(self) -> None:
        q = self._look()
        chosen = self._exploration.choose(greedy(q), q.shape[1], self.epsilon)
        step = self.simulator.step(chosen)
        truncated = step.truncated | (self._cut() & ~step.terminated)
        self._recorder.push(step, truncated)
        self._remember(step, truncated)
        self._restart(step, truncated)

    def _look(self) -> F32:
        """Q [L, A] of the lanes where they stand; the same pass answers the recorder."""
        lanes, encoded = self.config.lanes, self.policy.encoded
        asked, accounts = self._recorder.asks(self.simulator, self.policy.q)
        rows = np.concatenate([self.simulator.rows, asked])
        account = np.concatenate([self.simulator.features(), accounts])
        q = self.policy.q(rows, account)
        pivot = self._potentials.pivot(rows, account[:, 0])
        cnn = self._potentials.cnn(rows, account[:, 0])
        self._recorder.answer(q, pivot + cnn)
        self._log.note(
            distinct_rows=float(self.policy.encoded - encoded) * lanes,
            q=float(q[:lanes].max(1).sum()),
            potential_pivot=float(np.abs(pivot[:lanes]).sum()),
            potential_cnn=float(np.abs(cnn[:lanes]).sum()),
        )
        return q[:lanes]

    def _cut(self) -> Bool:
        """[L] whose episode has reached ``episode_steps`` with this step."""
        self._age += 1
        limit = self.config.episode_steps
        old = self._age >= limit if limit else np.zeros(len(self._age), np.bool_)
        return np.tile(old, self.config.branches)

    def _remember(self, step: Step, truncated: Bool) -> None:
        for tag in self.market.tagger.passed(step.row, step.next_row):
            self._tags.setdefault(tag.segment, []).append(tag.rows)
        ts = self.market.path.arrays.ts
        self._log.add(step, step.terminated | truncated, ts[step.next_row] - ts[step.row])

    def _restart(self, step: Step, truncated: Bool) -> None:
        """Start anew: groups whose time is over at a random row, ruined lanes where they stand."""
        config = self.config
        over = ~self.market.path.startable[step.next_row] | truncated
        group_over = over.reshape(config.branches, config.groups).any(0)
        drawn = self._starts[self._random.integers(0, len(self._starts), config.groups)]
        self._age[group_over] = 0
        fresh = np.tile(group_over, config.branches)
        rows = np.where(fresh, np.tile(drawn, config.branches), step.next_row)
        lanes = np.flatnonzero(fresh | step.terminated)
        if len(lanes):
            self.simulator.reset(lanes, rows[lanes])

    def _deliver(self, taken: int, seconds: float, latest: int | None) -> RolloutResult:
        transitions, priorities = self._experience()
        tags = [
            Tag(segment, np.unique(np.concatenate(rows)))
            for segment, rows in sorted(self._tags.items())
        ]
        self._tags = {}
        metrics = self._log.take()
        metrics["actors/transitions"] = float(len(transitions))
        metrics["actors/weights_version"] = float(self.policy.version)
        metrics["actors/epsilon"] = float(self.epsilon.mean())
        if seconds > 0.0:
            metrics["actors/steps_per_second"] = taken / seconds
        if latest is not None:
            metrics["actors/policy_lag"] = float(latest - self.policy.version)
        if len(transitions):
            metrics["actors/priority"] = float(priorities.mean())
            metrics["actors/duplicates"] = _duplicates(transitions)
        return RolloutResult(transitions, priorities, tags, taken, metrics)

    def _experience(self) -> tuple[Transitions, F32]:
        done = self._recorder.take()
        if done is None:
            actions = self.simulator.actions.size if self.config.outcomes == "all" else None
            return Transitions.empty(0, actions), np.empty(0, np.float32)
        segment, row = self.market.refer(done.row)
        transitions = Transitions(
            segment, row, self.market.refer(done.next_row)[1], done.account,
            done.next_account.astype(outcome_type(done.next_account)), done.action,
            done.reward.astype(np.float32), done.discount.astype(np.float32), self._strata(done),
        )  # fmt: skip
        return transitions, done.error.astype(np.float32)

    def _strata(self, done: Finished) -> NDArray[np.uint8]:
        """[m] what is known of each transition when it is finished."""
        moved = movement_flags(
            self.market.path, done.row, done.next_row, done.steps, self.config.movement_sigmas
        )
        extreme = self.market.tagger.known(done.row, done.next_row)
        bits = np.full(len(done), MAIN, np.uint8)
        bits[done.profit] |= POSITIVE
        bits[extreme] |= EXTREMA
        bits[moved] |= MOVEMENT
        return bits


def _recorder(config: RolloutConfig) -> Recorder:
    if config.outcomes == "all":
        return AllActions(config.n_step, config.gamma)
    return TakenActions(config.lanes, config.n_step, config.gamma)


def _duplicates(transitions: Transitions) -> float:
    """Share of transitions that start as another one does: same row, account and action.

    Branches of one market time that explore little soon do the same.
    """
    places = (transitions.segment, transitions.row, transitions.action)
    keys = np.column_stack([*places, transitions.account.view(np.int32)]).astype(np.int32)
    return 1.0 - len(np.unique(keys, axis=0)) / len(keys)
