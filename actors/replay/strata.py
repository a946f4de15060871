r"""How a batch mixes the strata, and the weights that undo it.

Shard k is asked for a share π of all batches. A batch of B draws n_s of them from stratum s,
proportionally to mass w_i = (priority_i + ε)^α, so transition i is drawn with probability

    P_i = π · Σ_{s∋i} (n_s/B) · w_i / W_s^k,          W_s^k = mass of stratum s in shard k.

Let u_i = w_i / W be its probability under prioritized sampling alone, from one main stratum over
all shards (W = mass of all of them, N = their transitions). Then P_i = u_i · r_i with

    r_i = π · W · Σ_{s∋i} (n_s/B) / W_s^k,

in which the priority cancels: r_i depends on the strata of i and on its shard alone. The weight

    v_i = (N · u_i)^{-β} / r_i

anneals the priority part by β, as Schaul et al. (2016, section 3.4) do, and corrects the rest in
full. So for every f:  E_P[v f] = Σ_i u_i (N u_i)^{-β} f_i, which is what main-only prioritized
sampling at that β gives; at β = 1 it is the plain mean of f. Annealing the strata part as well
would show the learner too many transitions that were *selected for their outcome* (closed with
profit), and Q would be optimistic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.experience import STRATA

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Peers:
    """What a shard must know of the others to weigh its transitions.

    share: part of all batches that is drawn from this shard (1 when it is alone).
    size, mass: transitions and main mass of the OTHER shards together.
    """

    share: float = 1.0
    size: int = 0
    mass: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 < self.share <= 1.0 and self.size >= 0 and 0.0 <= self.mass < np.inf):
            raise ApexError(
                f"{self} cannot weigh a shard's samples: share lies in (0, 1], size and mass are "
                "finite and not negative"
            )


def mixture(shares: tuple[float, ...], batch: int, held: I64) -> I64:
    """Draws from each stratum a batch [4], summing to ``batch``.

    Shares are rounded by largest remainder, once and for all batches, so n_s / batch is the true
    share. No stratum gives more draws than it holds transitions (``held`` [4]); what an empty or
    small one does not give, main does.
    """
    exact = np.array(shares) * batch
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: batch - int(counts.sum())]] += 1
    counts[1:] = np.minimum(counts[1:], held[1:])
    counts[0] = batch - counts[1:].sum()
    return counts


def strata_ratio(counts: I64, totals: F64, peers: Peers) -> F64:
    """r of the module's formula for every combination of strata bits, [16].

    counts: draws from each stratum [4]; totals: mass of each stratum in this shard [4].
    """
    batch, mass = int(counts.sum()), float(totals[0]) + peers.mass
    drawn = counts > 0
    rate = np.zeros(len(STRATA))
    rate[drawn] = counts[drawn] / (batch * totals[drawn])
    member = np.arange(1 << len(STRATA))[:, None] >> np.arange(len(STRATA)) & 1
    ratio: F64 = peers.share * mass * (member @ rate)
    return ratio


def importance_weights(
    mass: F64, bits: NDArray[np.uint8], ratio: F64, size: int, total: float, beta: float
) -> F64:
    """v of the module's formula for drawn transitions [m].

    mass, bits: of the drawn transitions. ratio: from ``strata_ratio``. size, total: transitions
    and main mass over all shards.
    """
    weights: F64 = (mass * (size / total)) ** -beta / ratio[bits]
    return weights
