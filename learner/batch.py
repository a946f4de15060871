"""One batch as the device sees it: fixed buffers, filled from pinned memory in one copy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apex_trader.state.schema import ACCOUNT_SIZE

_ALIGN = 64


@dataclass(frozen=True)
class BatchArrays:
    """A batch on the host, mirrored where it shall be; B transitions, K outcomes of each.

    rows, mirror [2B]: global decision rows of the starts, then of the ends, and whether each is
    turned upside down. account [B, 8]; next_account [B, K, 8]. action, stratum [B] int64;
    reward, discount [B, K] float32: of the action taken (K = 1), or of every action. weight [B].
    """

    rows: NDArray[np.int64]
    mirror: NDArray[np.bool_]
    account: NDArray[np.float32]
    next_account: NDArray[np.float32]
    action: NDArray[np.int64]
    stratum: NDArray[np.int64]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """The same on the device. The tensors are views of one buffer that every batch reuses."""

    rows: Tensor
    mirror: Tensor
    account: Tensor
    next_account: Tensor
    action: Tensor
    stratum: Tensor
    reward: Tensor
    discount: Tensor
    weight: Tensor

    @property
    def size(self) -> int:
        """B, transitions."""
        return len(self.action)


class BatchStaging:
    """Carries batches to one device; the addresses never change, so a CUDA graph can hold them.

    A batch is packed into one pinned buffer and copied by one asynchronous call. Pinned buffers
    come from torch's caching allocator, which does not hand one out again before its copy is done.
    """

    def __init__(self, size: int, outcomes: int, device: torch.device) -> None:
        self._layout = _Layout.of(size, outcomes)
        self._buffer = torch.zeros(self._layout.nbytes, dtype=torch.uint8, device=device)
        self.batch = Batch(**self._layout.views(self._buffer))

    @property
    def nbytes(self) -> int:
        """Bytes copied for a batch."""
        return self._layout.nbytes

    def put(self, arrays: BatchArrays) -> Batch:
        """Fill the device's buffers; returns at once, the copy runs on the current stream."""
        on_gpu = self._buffer.device.type == "cuda"
        host = torch.empty_like(self._buffer, device="cpu", pin_memory=True) if on_gpu else None
        target = self._buffer if host is None else host
        for name, view in self._layout.views(target).items():
            view.numpy()[...] = getattr(arrays, name)
        if host is not None:
            self._buffer.copy_(host, non_blocking=True)
        return self.batch


@dataclass(frozen=True)
class _Layout:
    """Where each field lies in the buffer: (name, dtype, shape, first byte, bytes)."""

    places: tuple[tuple[str, torch.dtype, tuple[int, ...], int, int], ...]
    nbytes: int

    @classmethod
    def of(cls, size: int, outcomes: int) -> Self:
        shapes: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
            "rows": (torch.int64, (2 * size,)),
            "mirror": (torch.bool, (2 * size,)),
            "account": (torch.float32, (size, ACCOUNT_SIZE)),
            "next_account": (torch.float32, (size, outcomes, ACCOUNT_SIZE)),
            "reward": (torch.float32, (size, outcomes)),
            "discount": (torch.float32, (size, outcomes)),
            "action": (torch.int64, (size,)),
            "stratum": (torch.int64, (size,)),
        }
        places, start = [], 0
        for field in fields(Batch):
            dtype, shape = shapes.get(field.name, (torch.float32, (size,)))
            nbytes = int(np.prod(shape)) * dtype.itemsize
            places.append((field.name, dtype, shape, start, nbytes))
            start += -(-nbytes // _ALIGN) * _ALIGN
        return cls(tuple(places), start)

    def views(self, buffer: Tensor) -> dict[str, Any]:
        return {
            name: buffer[start : start + nbytes].view(dtype).view(shape)
            for name, dtype, shape, start, nbytes in self.places
        }
