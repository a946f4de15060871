"""A Gaussian autoregression as a Markov chain on a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def rouwenhorst(keep: float, states: int) -> tuple[F64, F64]:
    """(grid [n], transition [n, n]) of x' = keep·x + noise, x of mean 0 and variance 1.

    Rouwenhorst's chain: mean, variance, autocorrelation and the conditional moments are exact for
    any persistence, also near 1, where a grid of equal cells would stand still (Kopecky & Suen
    2010, Finite State Markov-Chain Approximations to Highly Persistent Processes, section 2).
    """
    stay = 0.5 * (1.0 + keep)
    table = np.array([[stay, 1.0 - stay], [1.0 - stay, stay]])
    for n in range(3, states + 1):
        wider = np.zeros((n, n))
        wider[:-1, :-1] += stay * table
        wider[:-1, 1:] += (1.0 - stay) * table
        wider[1:, :-1] += (1.0 - stay) * table
        wider[1:, 1:] += stay * table
        wider[1:-1] *= 0.5
        table = wider
    reach = np.sqrt(states - 1.0)
    return np.linspace(-reach, reach, states), table
