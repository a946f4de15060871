"""New priorities on their way back from the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Priorities:
    """|TD| errors of one batch, with the address that the replay needs; B transitions.

    shard: the replay shard that the batch came from. slot [B] int64, generation [B] uint64: as in
    the ``Sample``. Fetch them an update or more later, and nothing waits for the device.
    """

    shard: int
    slot: NDArray[np.int64]
    generation: NDArray[np.uint64]
    _value: Tensor
    _done: torch.cuda.Event | None = None

    @classmethod
    def start(
        cls, shard: int, slot: NDArray[np.int64], generation: NDArray[np.uint64], value: Tensor
    ) -> Priorities:
        """Begin to copy ``value`` [B] float32 to the host; the tensor may be reused afterwards."""
        if value.device.type == "cpu":
            return cls(shard, slot, generation, value.clone())
        host = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
        host.copy_(value, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        return cls(shard, slot, generation, host, done)

    @property
    def ready(self) -> bool:
        """Whether ``value`` returns without waiting."""
        return self._done is None or bool(self._done.query())  # type: ignore[no-untyped-call]

    @property
    def value(self) -> NDArray[np.float32]:
        """[B] |TD|; waits for the device when they are not ready."""
        if self._done is not None:
            self._done.synchronize()
        array: NDArray[np.float32] = self._value.numpy()
        return array
