"""Amounts of trades that sum to their minutes' volumes in any order."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.market.synthetic.grids import on_grid

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def amounts_inside(minute: I64, weight: F64, volume: F64, lot_size: float) -> F64:
    """Amounts [trades], whole lots, that sum to each minute's volume in *any* order.

    minute [trades] ascending; weight [trades]: the volume beyond a lot each is shared by it;
    volume [minutes]. Every amount is rounded to a multiple of the
    volume's last binary digit (a change of under one part in 10^15 of the volume), and the rest
    goes to the largest. Multiples of one unit whose sum has 53 bits add without rounding, so no
    order of summation can miss the volume.
    """
    if len(minute) == 0:
        return np.empty(0)
    bounds = np.flatnonzero(np.r_[True, minute[1:] != minute[:-1]])
    number = np.diff(np.r_[bounds, len(minute)])
    group = np.repeat(np.arange(len(bounds)), number)
    whole = volume[minute[bounds]]
    spare = np.maximum(np.floor(whole / lot_size + 1e-6) - number, 0.0)
    lots = 1.0 + np.floor(weight * (spare / np.add.reduceat(weight, bounds))[group])
    # fewer lots than bar makers: a share of what there is
    amount = np.minimum(on_grid(lots, lot_size), (whole / number)[group] * lots)
    unit = np.spacing(whole)
    units = np.rint(amount / unit[group]).astype(np.int64)
    _give_rest(units, np.rint(whole / unit).astype(np.int64), bounds)
    exact: F64 = units * unit[group]
    return exact


@njit(cache=True, nogil=True)
def _give_rest(units: I64, whole: I64, bounds: I64) -> None:
    """Add what each group lacks of its whole to its largest member."""
    for k in range(len(bounds)):
        stop = bounds[k + 1] if k + 1 < len(bounds) else len(units)
        largest, rest = bounds[k], whole[k]
        for i in range(bounds[k], stop):
            rest -= units[i]
            if units[i] > units[largest]:
                largest = i
        units[largest] += rest
