"""The learner: one gradient step on a batch of references into the market.

Double DQN (van Hasselt et al. 2016) over a dueling network, n-step targets whose discounts come
with the transitions, prioritised replay's importance weights (Schaul et al. 2016). States are
gathered on the device; half of each batch is the market turned upside down. Nothing in ``update``
waits for a GPU.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from apex_trader.errors import ApexError, ConfigError
from apex_trader.experience import STRATA, Sample
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.gather import gather
from apex_trader.state.mirror import mirror_account
from apex_trader.trading.potentials import PotentialWeights, shaping
from learner.arena import DeviceArena
from learner.average import WeightAverage
from learner.batch import Batch, BatchArrays, BatchStaging
from learner.config import LearnerConfig
from learner.cuda_graph import UpdateGraph
from learner.meters import Meters
from learner.optimiser import adamw, set_rates, skip_where
from learner.potentials import Potentials, PotentialSource
from learner.precision import autocast, resolve_mode, resolve_precision
from learner.priorities import Priorities
from learner.sample_age import SampleAges
from learner.targets import QLoss, double_q_target, normalised, q_loss

NO_POTENTIALS = PotentialWeights(0.0, 0.0)


class Evaluation(NamedTuple):
    """What one batch gives. loss []; q_tm1 [B, A]; q, target, td_error [B, K]."""

    loss: Tensor
    td_error: Tensor
    q_tm1: Tensor
    q: Tensor
    target: Tensor


class Learner:
    """Trains ``network`` on samples whose states lie in ``arena``.

    Args:
        network: the online network; moved to the arena's device. The target starts as its copy.
        arena: the resident segments.
        config: see ``LearnerConfig``.
        generator: draws which rows are mirrored. Learning is the same for the same seed on the
            CPU.
        potentials: weights of the shaping potentials, reward scale included.
        action_mirror: [A] the mirror of each action (``Actions.mirror``). None where the mirrored
            market cannot be traded (spot has no short side): then nothing is mirrored, whatever
            ``mirror_share`` says.

    Raises:
        ConfigError: a precision that the device lacks, or a decay over a budget that was not
            filled in (``LearnerConfig.for_budget``).
        MismatchError: potentials that the schema cannot give.
    """

    def __init__(
        self,
        network: DuelingQNetwork,
        arena: DeviceArena,
        config: LearnerConfig,
        generator: np.random.Generator,
        *,
        potentials: PotentialWeights = NO_POTENTIALS,
        action_mirror: NDArray[np.int64] | None = None,
        all_actions: bool = False,
    ) -> None:
        self.device = arena.tables.device
        self.network = network.to(self.device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self._average = WeightAverage(self.network, config.average_updates)
        if config.decay_updates is None:
            raise ConfigError("learner.decay_updates", None, "a number: see config.for_budget")
        self._decay_updates = config.decay_updates
        self.arena, self.config = arena, config
        self.precision = resolve_precision(config.precision, self.device)
        self.updates = 0
        self._generator, self._action_mirror = generator, action_mirror
        self._potentials = PotentialSource(arena.tables, potentials)
        self._parameters: list[Tensor] = [p for p in self.network.parameters() if p.requires_grad]
        self._optimizer = adamw(self.network, config, self.device)
        self._outcomes = network.actions if all_actions else None
        self._staging = BatchStaging(config.batch_size, self._outcomes or 1, self.device)
        size = (2 * config.batch_size, arena.tables.schema.market_size)
        self._states = torch.zeros(size, dtype=torch.float32, device=self.device)
        self._priority = torch.zeros(config.batch_size, device=self.device)
        self._strata = torch.arange(len(STRATA), device=self.device)[:, None]
        self._evaluate_batch = self._evaluate
        if resolve_mode(config.compile, self.device):
            self._evaluate_batch = torch.compile(self._evaluate, dynamic=False)
        self._graph = UpdateGraph(config.cuda_graph, self.device)
        self._meters = _meters(self.device)
        self._ages = SampleAges()
        self._read_at, self._read_updates = time.perf_counter(), 0

    def update(self, sample: Sample) -> Priorities:
        """One gradient step; returns the batch's new priorities |TD|, on their way to the host.

        Raises ApexError when the sample is not of ``batch_size`` transitions, or refers to a
        segment that is not resident and that the arena cannot load.
        """
        if len(sample.transitions) != self.config.batch_size:
            raise ApexError(
                f"a sample of {len(sample.transitions)} transitions, learner.batch_size is "
                f"{self.config.batch_size}: make the replay's batch size the same"
            )
        if sample.transitions.actions != self._outcomes:
            raise ApexError(
                "the sample's transitions do not hold the outcomes that the learner was made for: "
                "rollout.outcomes must be the same for all parts"
            )
        self._ages.add(sample)
        self._staging.put(self._arrays(sample))
        self._average.begin(self.updates)
        set_rates(self._optimizer, self._decay_updates, self.updates)
        self._graph.run(self._step)
        self.updates += 1
        self._update_target_periodically()
        return Priorities.start(sample.shard, sample.slot, sample.generation, self._priority)

    @property
    def judged(self) -> DuelingQNetwork:
        """The network whose weights are judged, saved for use and traded: see WeightAverage."""
        return self._average.network

    @property
    def metrics_due(self) -> bool:
        """Whether ``metrics_every`` updates were done since the last reading."""
        return self.updates - self._read_updates >= self.config.metrics_every

    def read_metrics(self) -> dict[str, float]:
        """Metrics since the last reading (docs/learner.md explains each); waits for the device.

        Raises ApexError when every update since then had a loss or gradient that was not finite.
        """
        done = self.updates - self._read_updates
        if not done:
            return {}
        values = self._meters.read()
        skipped = values.pop("skipped")
        if skipped >= done:
            raise ApexError(
                f"the last {done} updates all had a loss or gradient that is not finite: look for "
                "NaN in rewards and CNN rows, or lower learner.learning_rate; resume from a "
                "checkpoint"
            )
        now = time.perf_counter()
        rate = done / max(now - self._read_at, 1e-9)
        self._read_at, self._read_updates = now, self.updates
        kept = {name: value for name, value in values.items() if name not in _COUNTS}
        norms = torch._foreach_norm([p.detach() for p in self._parameters])
        return {
            **{f"learner/{name}": value for name, value in kept.items()},
            **self._ages.read(),
            "learner/weight_norm": float(torch.linalg.vector_norm(torch.stack(norms))),
            "learner/skipped_updates": skipped,
            "learner/updates": float(self.updates),
            "learner/updates_per_second": rate,
            "learner/transitions_per_second": rate * self.config.batch_size,
        }

    def state_dict(self) -> dict[str, Any]:
        """All that a later process needs to go on with the same bits (on the CPU)."""
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "average": self.judged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.bit_generator.state,
            "updates": self.updates,
            "newest": self._ages.newest,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state_dict``. The configuration's learning rate and decay apply."""
        self.network.load_state_dict(state["network"])
        self.target.load_state_dict(state["target"])
        self.judged.load_state_dict(state["average"])
        # torch replaces the groups' settings too; those of this run's configuration stay.
        settings = [
            {k: v for k, v in group.items() if k != "params"}
            for group in self._optimizer.param_groups
        ]
        self._optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(self._optimizer.param_groups, settings, strict=True):
            group.update(own)
        self._generator.bit_generator.state = state["generator"]
        self.updates = self._read_updates = int(state["updates"])
        self._ages.newest = {int(k): int(v) for k, v in state["newest"].items()}
        self._meters.reset()
        self._graph.forget()
        self._read_at = time.perf_counter()

    def _arrays(self, sample: Sample) -> BatchArrays:
        """The sample with global rows, part of it mirrored: states, accounts and actions."""
        t = sample.transitions
        mirror = self._draw_mirror(len(t))
        row, next_row = self.arena.rows(t.segment, t.row, t.next_row)
        account, action = t.account.copy(), t.action.astype(np.int64)
        shape = (len(t), self._outcomes or 1)
        ends = t.next_account.astype(np.float32).reshape(*shape, -1)
        reward, discount = t.reward.reshape(shape), t.discount.reshape(shape)
        if self._action_mirror is not None:
            account[mirror], ends[mirror] = (
                mirror_account(account[mirror]),
                mirror_account(ends[mirror]),
            )
            action = np.where(mirror, self._action_mirror[action], action)
            if self._outcomes is not None:  # what the mirrored action leads to has its place
                turned = mirror[:, None]
                ends = np.where(turned[..., None], ends[:, self._action_mirror], ends)
                reward = np.where(turned, reward[:, self._action_mirror], reward)
                discount = np.where(turned, discount[:, self._action_mirror], discount)
        return BatchArrays(
            np.concatenate([row, next_row]), np.concatenate([mirror, mirror]), account, ends,
            action, sample.stratum.astype(np.int64), reward, discount, sample.weight,
        )  # fmt: skip

    def _draw_mirror(self, size: int) -> NDArray[np.bool_]:
        mirror = np.zeros(size, np.bool_)
        if self._action_mirror is not None:
            count = round(self.config.mirror_share * size)
            mirror[self._generator.permutation(size)[:count]] = True
        return mirror

    def _step(self) -> None:
        """Everything that runs on the device; reads and writes fixed addresses only."""
        batch = self._staging.batch
        states = gather(self.arena.tables, batch.rows, batch.mirror, out=self._states)
        potentials = self._shaping(states, batch)
        self._optimizer.zero_grad(set_to_none=True)
        result = self._evaluate_batch(states, batch, potentials)
        result.loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._parameters, self.config.gradient_clip)
        skipped = (~(torch.isfinite(norm) & torch.isfinite(result.loss))).float()
        skip_where(self._optimizer, skipped)
        self._optimizer.step()
        self._average.follow(list(self.network.parameters()))
        if self.config.target_update == "soft":
            self._track_target()
        self._priority.copy_(result.td_error.abs().mean(1))
        self._measure(batch, potentials, result, norm, skipped)

    def _shaping(self, states: Tensor, batch: Batch) -> Potentials:
        """[B, K] what each potential adds to the rewards: discount·Φ(s_n) − Φ(s_0)."""
        (s_tm1, s_t), rows, mirror = states.chunk(2), batch.rows.chunk(2), batch.mirror.chunk(2)
        before = self._potentials.of(s_tm1, batch.account[:, None], rows[0], mirror[0])
        after = self._potentials.of(s_t, batch.next_account, rows[1], mirror[1])
        parts = zip(before, after, strict=True)
        return Potentials(*(shaping(batch.discount, phi_tm1, phi_t) for phi_tm1, phi_t in parts))

    def _evaluate(self, states: Tensor, batch: Batch, shaped: Potentials) -> Evaluation:
        """Loss and TD errors of a gathered batch; states [2B, market_size]: starts, then ends."""
        s_tm1, s_t = states.chunk(2)
        with autocast(self.precision, self.device):
            with torch.no_grad():
                q_t_selector = _outcome_values(self.network, s_t, batch.next_account)
                q_t_value = _outcome_values(self.target, s_t, batch.next_account)
            q_tm1 = self.network(s_tm1, batch.account).float()
        r_t = batch.reward + shaped.pivot + shaped.cnn
        target = double_q_target(r_t, batch.discount, q_t_value, q_t_selector)
        q = q_tm1 if self._outcomes is not None else q_tm1.gather(1, batch.action[:, None])
        loss: QLoss = q_loss(q, target, batch.weight, self.config.huber_delta)
        return Evaluation(loss.loss, loss.td_error, q_tm1.detach(), q.detach(), target)

    @torch.no_grad()
    def _track_target(self) -> None:
        torch._foreach_lerp_(
            list(self.target.parameters()), list(self.network.parameters()), self.config.target_rate
        )

    def _update_target_periodically(self) -> None:
        if (
            self.config.target_update == "periodic"
            and self.updates % self.config.target_period == 0
        ):
            self.target.load_state_dict(self.network.state_dict())

    @torch.no_grad()
    def _measure(
        self,
        batch: Batch,
        potentials: Potentials,
        result: Evaluation,
        norm: Tensor,
        skipped: Tensor,
    ) -> None:
        td = result.td_error.abs().mean(1)
        member = (batch.stratum == self._strata).float()
        values = {
            "updates": torch.ones_like(skipped), "skipped": skipped,
            "loss": result.loss, "grad_norm": norm, "grad_norm_max": norm,
            "td_mean": td.mean(), "td_max": result.td_error.abs().max(),
            "q_mean": result.q.mean(), "q_max": result.q_tm1.max(), "q_min": result.q_tm1.min(),
            "target_mean": result.target.mean(), "reward_mean": batch.reward.mean(),
            "pivot_potential_mean": potentials.pivot.mean(),
            "cnn_potential_mean": potentials.cnn.mean(),
            "discount_mean": batch.discount.mean(),
            "importance_weight_min": normalised(batch.weight).min(),
            "importance_weight_mean": normalised(batch.weight).mean(),
            "mirrored_share": batch.mirror.float().mean(),
        }  # fmt: skip
        per_stratum = zip(STRATA, (member @ td).unbind(), member.sum(1).unbind(), strict=True)
        for name, total, count in per_stratum:
            values[f"td_{name}"], values[f"count_{name}"] = total, count
        self._meters.add(values)


_MEANS = (
    "loss", "grad_norm", "td_mean", "q_mean", "target_mean", "reward_mean",
    "pivot_potential_mean", "cnn_potential_mean", "discount_mean", "importance_weight_mean",
    "mirrored_share",
)  # fmt: skip
_COUNTS = ("updates", *(f"count_{name}" for name in STRATA))


def _meters(device: torch.device) -> Meters:
    means = dict.fromkeys(_MEANS, "updates")
    means.update({f"td_{name}": f"count_{name}" for name in STRATA})
    maxima = ("td_max", "q_max", "grad_norm_max")
    minima = ("q_min", "importance_weight_min")
    return Meters(means, ("skipped", *_COUNTS), maxima, minima, device)


def _outcome_values(network: DuelingQNetwork, state: Tensor, accounts: Tensor) -> Tensor:
    """Q [B, K, A] float32 of states [B, market_size], encoded once, with accounts [B, K, 8]."""
    size, outcomes = accounts.shape[:2]
    z = network.encode(state).repeat_interleave(outcomes, 0, output_size=size * outcomes)
    return network.q(z, accounts.flatten(0, 1)).float().view(size, outcomes, -1)
