"""How much each lane explores: a ladder over all lanes of all actors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError

F64 = NDArray[np.float64]


def epsilon_ladder(lanes: int, base: float = 0.4, exponent: float = 7.0) -> F64:
    """ε of every lane i of N: base^(1 + exponent·i/(N − 1)), [N] (Horgan et al. 2018, 4.1).

    A single lane has ε = base.
    """
    if lanes < 1:
        raise ApexError(f"a ladder needs at least one lane, not {lanes}")
    place = np.arange(lanes) / max(lanes - 1, 1)
    ladder: F64 = base ** (1.0 + exponent * place)
    return ladder


def actor_epsilons(
    actor: int, actors: int, lanes: int, base: float = 0.4, exponent: float = 7.0
) -> F64:
    """ε of the lanes of one of several actors, [lanes]; call again when ``actors`` changes.

    Lane j of actor a is lane j·actors + a of all, so that each actor has steps of the whole
    ladder, and none of them takes a part of it along when it dies.
    """
    if not 0 <= actor < actors:
        raise ApexError(f"actor {actor} is none of {actors}")
    return epsilon_ladder(lanes * actors, base, exponent)[actor::actors]
