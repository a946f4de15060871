"""Configuration of the replay."""

from __future__ import annotations

import math
from dataclasses import dataclass

from apex_trader.errors import ConfigError
from apex_trader.experience import STRATA


@dataclass(frozen=True)
class ReplayConfig:
    """What the replay keeps, how it draws and how it paces.

    capacity: transitions over all shards. shards: number of shards, each a part of the capacity.
    batch_size: transitions of a batch. prefetch: most batches one call may ask for (16 in Ape-X,
    Horgan et al. 2018).
    alpha: exponent of priorities, 0 is uniform (0.6, Schaul et al. 2016, table 3).
    beta, beta_end, beta_updates: the exponent that corrects for priorities goes from ``beta`` to
    ``beta_end``, linearly over that many updates of the learner (0.4 to 1, the same table).
    priority_epsilon: added to every priority, so that none is never drawn again.
    share_positive, share_extrema, share_movement: shares of a batch drawn from those strata; the
    main stratum has the rest.
    samples_per_insert: sampled transitions for each inserted one, kept by the rate limiter.
    min_size: transitions over all shards before the first batch.
    error_buffer: how far a shard's samples may run ahead of or behind samples_per_insert, in
    samples; 0 chooses the sum of the largest sample and samples_per_insert × the largest insert.
    max_insert: most transitions one call may insert in one shard.
    """

    capacity: int = 2_000_000
    shards: int = 4
    batch_size: int = 512
    prefetch: int = 16
    alpha: float = 0.6
    beta: float = 0.4
    beta_end: float = 1.0
    beta_updates: int = 200_000
    priority_epsilon: float = 1e-6
    share_positive: float = 0.15
    share_extrema: float = 0.15
    share_movement: float = 0.15
    samples_per_insert: float = 2.0
    min_size: int = 20_000
    error_buffer: float = 0.0
    max_insert: int = 4096

    def __post_init__(self) -> None:
        for name in ("capacity", "shards", "batch_size", "prefetch", "min_size", "max_insert"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("alpha", "beta", "beta_end"):
            self._require(name, 0.0 <= getattr(self, name) <= 1.0, "between 0 and 1")
        self._require("beta_end", self.beta_end >= self.beta, f"at least beta, {self.beta}")
        self._require("beta_updates", self.beta_updates >= 0, "not negative")
        self._require("priority_epsilon", _positive(self.priority_epsilon), "above 0 and finite")
        self._require(
            "samples_per_insert", _positive(self.samples_per_insert), "above 0 and finite"
        )
        for name in ("share_positive", "share_extrema", "share_movement"):
            self._require(name, 0.0 <= getattr(self, name) <= 1.0, "between 0 and 1")
        self._require(
            "share_positive", self.shares[0] >= 0.0,
            "the shares of positive, extrema and movement must not sum to more than 1",
        )  # fmt: skip
        self._require_room()

    def _require_room(self) -> None:
        shard = self.shard_capacity
        self._require("shards", shard >= 1, f"at most replay.capacity={self.capacity}")
        self._require("max_insert", self.max_insert <= shard, f"at most a shard's part, {shard}")
        self._require(
            "min_size", self.shard_min_size <= shard, f"at most replay.capacity={self.capacity}"
        )
        self._require(
            "error_buffer", self.error_buffer == 0.0 or self.error_buffer >= self.least_buffer,
            f"0 (chosen) or at least {self.least_buffer:g}, half of batch_size × prefetch + "
            "samples_per_insert × max_insert, or both sides can wait for each other",
        )  # fmt: skip

    def _require(self, field: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ConfigError(f"replay.{field}", getattr(self, field), allowed)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of a batch for each of STRATA; they sum to 1."""
        rest = [getattr(self, f"share_{name}") for name in STRATA[1:]]
        main = 1.0 - math.fsum(rest)
        return (0.0 if abs(main) < 1e-12 else main, *rest)

    @property
    def shard_capacity(self) -> int:
        """Slots of one shard."""
        return self.capacity // self.shards

    @property
    def shard_min_size(self) -> int:
        """Transitions of one shard before it gives batches."""
        return -(-self.min_size // self.shards)

    @property
    def max_sample(self) -> int:
        """Most transitions one call may sample."""
        return self.batch_size * self.prefetch

    @property
    def least_buffer(self) -> float:
        """The smallest error_buffer that cannot make both sides wait."""
        return (self.max_sample + self.samples_per_insert * self.max_insert) / 2

    def beta_at(self, update: float) -> float:
        """β at an update of the learner."""
        done = min(update / self.beta_updates, 1.0) if self.beta_updates else 1.0
        return self.beta + (self.beta_end - self.beta) * done


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0.0
