"""Sums, largest and smallest values, kept on the device and read once in a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Meters:
    """Running means, maxima and minima of scalars, without a host synchronisation.

    means: name → name of the count that divides it; a count is itself a sum that is added.
    maxima, minima: names. What is not finite stays not finite: it must show.
    """

    def __init__(
        self,
        means: Mapping[str, str],
        counts: Sequence[str],
        maxima: Sequence[str],
        minima: Sequence[str],
        device: torch.device,
    ) -> None:
        self._means, self._counts = dict(means), tuple(counts)
        self._sums = (*self._means, *self._counts)
        self._maxima, self._minima = tuple(maxima), tuple(minima)
        size = len(self._sums) + len(self._maxima) + len(self._minima)
        self._state = torch.zeros(size, dtype=torch.float32, device=device)
        self._ends = (len(self._sums), len(self._sums) + len(self._maxima))
        self.reset()

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one scalar [] for every name."""
        names = (*self._sums, *self._maxima, *self._minima)
        new = torch.stack([values[name].detach().float() for name in names])
        low, high = self._ends
        self._state[:low] += new[:low]
        self._state[low:high] = torch.maximum(self._state[low:high], new[low:high])
        self._state[high:] = torch.minimum(self._state[high:], new[high:])

    def read(self) -> dict[str, float]:
        """Means, maxima and minima since the last reading, which then begin anew.

        Waits for the device. A mean without a count is left out.
        """
        values = self._state.cpu().tolist()
        self.reset()
        sums = dict(zip(self._sums, values, strict=False))
        out = {name: sums[name] / sums[count] for name, count in self._means.items() if sums[count]}
        low, high = self._ends
        out.update(zip(self._maxima, values[low:high], strict=True))
        out.update(zip(self._minima, values[high:], strict=True))
        return {**out, **{name: sums[name] for name in self._counts}}

    def reset(self) -> None:
        """Begin anew."""
        low, high = self._ends
        self._state[:low].zero_()
        self._state[low:high].fill_(-torch.inf)
        self._state[high:].fill_(torch.inf)
