"""A grid of beliefs about three states, even in log odds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

F64 = NDArray[np.float64]

#: Points of each axis.
_POINTS = 25


@dataclass(frozen=True)
class BeliefGrid:
    """Chances of (down, flat, up) on a square grid of ln(down/flat) and ln(up/flat).

    axis [g]: ascending, of both.
    """

    axis: F64

    @classmethod
    def of(cls, leave: float, interval: float) -> BeliefGrid:
        """Wide enough for a chain that leaves its state at a rate, seen every ``interval``.

        A chance never falls below that of a switch within one interval.
        """
        reach = max(3.0, -math.log(min(0.5 * leave * interval, 0.3))) + 1.0
        return cls(np.linspace(-reach, reach, _POINTS))

    @property
    def chances(self) -> F64:
        """[g², 3] chances of every point, down's axis first."""
        down, up = np.meshgrid(np.exp(self.axis), np.exp(self.axis), indexing="ij")
        table = np.stack([down.ravel(), np.ones(down.size), up.ravel()], axis=1)
        shares: F64 = table / table.sum(axis=1, keepdims=True)
        return shares

    def spread(self, chances: F64) -> sparse.csr_matrix:
        """[n, g²] weights that interpolate a function of the belief at ``chances`` [n, 3].

        Cubic convolution (Keys 1981): linear weights would add their own diffusion to a belief
        that moves by less than a cell.
        """
        odds = np.log(chances[:, [0, 2]] / chances[:, 1:2])
        (row_0, weight_0), (row_1, weight_1) = (self._cubic(odds[:, k]) for k in (0, 1))
        size = len(self.axis)
        columns = row_0[:, :, None] * size + row_1[:, None, :]
        weights = weight_0[:, :, None] * weight_1[:, None, :]
        rows = np.repeat(np.arange(len(chances)), 16)
        return sparse.csr_matrix(
            (weights.ravel(), (rows, columns.ravel())), (len(chances), size * size)
        )

    def _cubic(self, at: F64) -> tuple[NDArray[np.int64], F64]:
        """(points [n, 4], weights [n, 4]) around each place on the axis, held at its ends."""
        size, step = len(self.axis), self.axis[1] - self.axis[0]
        place = np.clip((at - self.axis[0]) / step, 0.0, size - 1.0)
        low = np.minimum(place.astype(np.int64), size - 2)
        t = place - low
        weights = 0.5 * np.stack(
            [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2],
            axis=1,
        )
        points = low[:, None] + np.arange(-1, 3)
        return np.clip(points, 0, size - 1), weights
