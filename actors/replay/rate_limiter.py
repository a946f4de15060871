"""Paces sampling against insertion, as Reverb does (Cassirer et al. 2021, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actors.replay.config import ReplayConfig
from apex_trader.errors import ApexError, ConfigError


@dataclass
class RateLimiter:
    """Keeps samples near ``ratio`` × inserts, by two inequalities over one shard's counts.

    With I inserts, S samples and D deletes so far (all in transitions):

    - n may be sampled iff  I − D ≥ min_size  and  I·ratio − S − n ≥ min_diff;
    - n may be inserted iff I + n − D ≤ min_size  or  (I + n)·ratio − S ≤ max_diff
      or I − D < min_size.

    The last clause is not Reverb's. Below min_size nothing can be sampled, so if an insert that
    crosses min_size were refused there, which happens after an eviction takes a whole segment,
    both sides would wait for ever. It also lets a lost shard's new incarnation fill up without
    an actor waiting on it; the learner is told ``warming_up`` and takes its batches elsewhere.

    Never do both sides wait. Below min_size inserts pass. At or above it, a refused sample of n
    means I·ratio − S < min_diff + n, so an insert of m has (I + m)·ratio − S < min_diff + n +
    ratio·m ≤ max_diff: it passes, by the check at construction.
    """

    ratio: float
    min_size: int
    min_diff: float
    max_diff: float
    max_sample: int
    max_insert: int
    inserts: int = 0
    samples: int = 0
    deletes: int = 0

    def __post_init__(self) -> None:
        need = self.max_sample + self.ratio * self.max_insert
        if self.max_diff - self.min_diff < need:
            raise ConfigError(
                "replay.error_buffer", (self.max_diff - self.min_diff) / 2,
                f"at least {need / 2:g}, or both sides can wait for each other",
            )  # fmt: skip

    @classmethod
    def from_config(cls, config: ReplayConfig) -> RateLimiter:
        """The limiter of one shard: the differences lie around ratio × min_size."""
        ratio, middle = config.samples_per_insert, config.samples_per_insert * config.shard_min_size
        buffer = config.error_buffer or 2 * config.least_buffer
        return cls(
            ratio, config.shard_min_size, middle - buffer, middle + buffer,
            config.max_sample, config.max_insert,
        )  # fmt: skip

    @property
    def size(self) -> int:
        """Transitions held: I − D."""
        return self.inserts - self.deletes

    @property
    def warming_up(self) -> bool:
        """Too few transitions for any sample."""
        return self.size < self.min_size

    def can_sample(self, n: int) -> bool:
        """Whether n transitions may be sampled now; ApexError when n is above the largest."""
        if n > self.max_sample:
            raise ApexError(
                f"a sample of {n} transitions is above the largest, {self.max_sample}: raise "
                "replay.prefetch or ask for fewer batches"
            )
        enough = self.inserts * self.ratio - self.samples - n >= self.min_diff
        return not self.warming_up and enough

    def can_insert(self, n: int) -> bool:
        """Whether n transitions may be inserted now; ApexError when n is above the largest."""
        if n > self.max_insert:
            raise ApexError(
                f"an insert of {n} transitions is above the largest, {self.max_insert}: raise "
                "replay.max_insert or collect fewer steps at once"
            )
        if self.warming_up or self.size + n <= self.min_size:
            return True
        return (self.inserts + n) * self.ratio - self.samples <= self.max_diff

    def sampled(self, n: int) -> None:
        """Count n samples."""
        self.samples += n

    def inserted(self, n: int) -> None:
        """Count n inserts."""
        self.inserts += n

    def deleted(self, n: int) -> None:
        """Count n deletes."""
        self.deletes += n

    def state_dict(self) -> dict[str, Any]:
        """The three counts."""
        return {"inserts": self.inserts, "samples": self.samples, "deletes": self.deletes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the three counts."""
        self.inserts = int(state["inserts"])
        self.samples = int(state["samples"])
        self.deletes = int(state["deletes"])
