"""The acting policy: Q-values of many lanes from one encoding of each market time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apex_trader.errors import ApexError
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.gather import MarketTables, gather

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Most states gathered and encoded at a time: 256 states of 15,798 features are 16 MB.
_CHUNK = 256


def greedy(q: F32) -> NDArray[np.uint8]:
    """The best action [B] by Q [B, A]; the first of equal ones."""
    best: NDArray[np.uint8] = q.argmax(1).astype(np.uint8)
    return best


def epsilon_greedy(q: F32, epsilon: F64, random: np.random.Generator) -> NDArray[np.uint8]:
    """The best action [B], or with probability ε [B] any action, all equally likely.

    Draws the same amount of randomness whatever the outcome.
    """
    explores = random.random(len(q)) < epsilon
    any_action = random.integers(0, q.shape[1], len(q)).astype(np.uint8)
    return np.where(explores, any_action, greedy(q))


class BatchedPolicy:
    """Q-values on the CPU in float32, of the market as it is (never mirrored).

    Lanes that stand at the same market time share its state and its encoding, which are nearly
    all of the work: only the head, which knows the account, runs once a lane.

    Args:
        network: its weights are replaced by ``set_weights``.
        tables: of the market, on the CPU, with CNN rows where the schema has them.
    """

    def __init__(self, network: DuelingQNetwork, tables: MarketTables) -> None:
        self.network = network.eval().requires_grad_(False)
        self.tables = tables
        self.version = 0
        #: Market states encoded, and Q-values asked for, so far.
        self.encoded = 0
        self.asked = 0

    def set_weights(self, version: int, weights: Mapping[str, Tensor]) -> None:
        """Take over the learner's weights of a version."""
        self.network.load_state_dict(weights)
        self.version = version

    @torch.inference_mode()
    def q(self, rows: I64, account: F32) -> F32:
        """Q [B, A] of lanes at global rows [B] with account features [B, 8].

        ApexError when a value is not finite: the weights diverged, or CNN rows are missing.
        """
        distinct, place = np.unique(rows, return_inverse=True)
        codes = [
            self.network.encode(gather(self.tables, torch.from_numpy(distinct[i : i + _CHUNK])))
            for i in range(0, len(distinct), _CHUNK)
        ]
        z = torch.cat(codes).index_select(0, torch.from_numpy(place))
        q: F32 = self.network.q(z, torch.from_numpy(np.ascontiguousarray(account))).numpy()
        self.encoded += len(distinct)
        self.asked += len(rows)
        if not np.isfinite(q).all():
            row = int(rows[~np.isfinite(q).all(1)][0])
            raise ApexError(
                f"the policy (weights version {self.version}) has no finite Q-values at decision "
                f"row {row}: either training diverged (lower learner.learning_rate), or the CNN "
                "rows of that segment were never written"
            )
        return q
