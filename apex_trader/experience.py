"""An experience is a reference into the market, never a copy of a state."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from apex_trader.state.schema import ACCOUNT_SIZE

#: Bit of each stratum in ``Transitions.strata``; every transition is in "main".
STRATA = ("main", "positive", "extrema", "movement")
MAIN, POSITIVE, EXTREMA, MOVEMENT = 1, 2, 4, 8


@dataclass(frozen=True)
class Transitions:
    """n-step transitions as columns; m = transitions.

    segment [m] int32: number of the segment in the run's registry (``SegmentRegistry``).
    row, next_row [m] int32: decision rows of that segment at the start and after n steps.
    account, next_account [m, 8] float32. action [m] uint8. reward [m] float32: the discounted sum
    of stored reward terms, without potentials. discount [m] float32: γⁿ, 0 after termination.
    strata [m] uint8: bits known at insertion.

    With the outcomes of all A actions (``rollout.outcomes=all``) reward and discount are [m, A] and
    next_account is [m, A, 8] float16, a tenth of a percent of its columns' scales; action is still
    the one that was taken.
    """

    segment: NDArray[np.int32]
    row: NDArray[np.int32]
    next_row: NDArray[np.int32]
    account: NDArray[np.float32]
    next_account: NDArray[np.floating[Any]]
    action: NDArray[np.uint8]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    strata: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.segment)

    def take(self, index: NDArray[np.int64] | slice) -> Self:
        """The transitions at ``index``."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def concatenate(cls, parts: list[Self]) -> Self:
        """All the parts' transitions, in order."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts])
                      for f in fields(cls)})  # fmt: skip

    @property
    def actions(self) -> int | None:
        """Of how many actions the outcomes are held; None: of the one taken."""
        return self.reward.shape[1] if self.reward.ndim == 2 else None

    @classmethod
    def empty(cls, size: int = 0, actions: int | None = None) -> Self:
        """Storage for ``size`` transitions, zeroed. actions: see the property."""
        shape = (size,) if actions is None else (size, actions)
        ends = np.zeros((*shape, ACCOUNT_SIZE), np.float32)
        return cls(
            np.zeros(size, np.int32), np.zeros(size, np.int32), np.zeros(size, np.int32),
            np.zeros((size, ACCOUNT_SIZE), np.float32), ends.astype(outcome_type(ends)),
            np.zeros(size, np.uint8), np.zeros(shape, np.float32), np.zeros(shape, np.float32),
            np.zeros(size, np.uint8),
        )  # fmt: skip


def outcome_type(next_account: NDArray[np.floating[Any]]) -> type[np.floating[Any]]:
    """How next accounts [m, 8] or [m, A, 8] are stored: those of every action in half the bytes."""
    return np.float32 if next_account.ndim == 2 else np.float16


@dataclass(frozen=True)
class Sample:
    """A sampled batch: transitions, where they lie, and how they were drawn; m = batch size.

    slot [m] int64 and generation [m] uint64 address the priority update (see actors.replay).
    weight [m] float32: importance weight, not yet divided by the batch's largest.
    shard: number of the shard it came from. stratum [m] uint8: index in STRATA it was drawn for.
    """

    transitions: Transitions
    slot: NDArray[np.int64]
    generation: NDArray[np.uint64]
    weight: NDArray[np.float32]
    shard: int
    stratum: NDArray[np.uint8]
